-- Gold holds exactly silver's orders: by shop, the number and the sum to the cent, in the fact and in the aggregate.
{{ config(tags=['live']) }}

with

silver as (

    select
        tenant_id,
        count(*) as orders,
        sum(total) as total
    from {{ ref('stg_commerce_order') }}
    where _deleted_at is null
    group by tenant_id

),

fact as (

    select
        tenant_id,
        count(*) as orders,
        sum(total) as total
    from {{ ref('fct_orders') }}
    group by tenant_id

),

aggregate as (

    select
        tenant_id,
        sum(orders) as orders,
        sum(total) as total
    from {{ ref('revenue_by_shop') }}
    group by tenant_id

)

select coalesce(silver.tenant_id, fact.tenant_id, aggregate.tenant_id) as tenant_id
from silver
full outer join fact on silver.tenant_id = fact.tenant_id
full outer join aggregate on coalesce(silver.tenant_id, fact.tenant_id) = aggregate.tenant_id
where
    not silver.orders <=> fact.orders
    or not silver.total <=> fact.total
    or not silver.orders <=> aggregate.orders
    or not silver.total <=> aggregate.total
