-- Every product event of silver that its plan shows is counted in exactly one group of gold.
{{ config(tags=['live']) }}

with

silver as (

    select
        tenant_id,
        count(*) as events
    from {{ ref('int_product_events') }}
    group by tenant_id

),

fact as (

    select
        tenant_id,
        sum(events) as events
    from {{ ref('fct_product_events_daily') }}
    group by tenant_id

)

select coalesce(silver.tenant_id, fact.tenant_id) as tenant_id
from silver
full outer join fact on silver.tenant_id = fact.tenant_id
where not silver.events <=> fact.events
