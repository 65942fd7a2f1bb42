-- Gold holds exactly silver's payments: by tenant, the number and the sum to the cent.
{{ config(tags=['live']) }}

with

silver as (

    select
        tenant_id,
        count(*) as transactions,
        sum(amount) as amount
    from {{ ref('stg_payments_transaction') }}
    group by tenant_id

),

fact as (

    select
        tenant_id,
        count(*) as transactions,
        sum(amount) as amount
    from {{ ref('fct_transactions') }}
    group by tenant_id

)

select coalesce(silver.tenant_id, fact.tenant_id) as tenant_id
from silver
full outer join fact on silver.tenant_id = fact.tenant_id
where
    not silver.transactions <=> fact.transactions
    or not silver.amount <=> fact.amount
