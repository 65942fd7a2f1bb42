-- The groups that an increment counts again: where each changed order is now, and where it was. An order can move
-- between groups or leave them all. Ephemeral, because the pin is read anew in each cycle.
{{ config(materialized='ephemeral') }}

with

orders as (

    select * from {{ ref('int_orders') }}
    where _version > {{ previous_pin('commerce_order') }}

),

before as (

    select * from {{ ref('int_orders_before') }}

),

final as (

    select
        tenant_id,
        order_id,
        currency,
        region,
        ordered_date,
        ordered_hour
    from orders
    where not is_deleted

    union

    select
        before.tenant_id,
        before.order_id,
        before.currency,
        before.region,
        before.ordered_date,
        before.ordered_hour
    from before
    left semi join orders on before.tenant_id = orders.tenant_id and before.order_id = orders.order_id

)

select * from final
