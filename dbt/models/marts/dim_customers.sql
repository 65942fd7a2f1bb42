-- Rebuilt whole: a customer changes when any of the orders does, also one that moved to somebody else, and the masks of
-- people who are on the erased list now must not outlive this cycle.
{{ config(materialized='table') }}

with

customers as (

    select * from {{ ref('stg_commerce_customer') }}
    where _deleted_at is null

),

orders as (

    select * from {{ ref('int_customer_orders') }}

),

final as (

    select
        -- identity
        customers.tenant_id,
        customers.shop_id,
        customers.customer_id,
        customers.subject_ref as customer_ref,

        -- who, as masks
        customers.customer_name,
        customers.customer_email,

        -- where
        customers.city,
        customers.region,
        customers.country,

        -- state
        customers.state,
        customers.is_verified,

        -- orders
        coalesce(orders.orders_count, 0) as orders_count,
        orders.currency,
        coalesce(orders.lifetime_value, 0) as lifetime_value,
        orders.first_order_at,
        orders.last_order_at,
        case
            when orders.orders_count is null then 'prospect'
            when orders.orders_count = 1 then 'new'
            when orders.orders_count < 5 then 'returning'
            else 'loyal'
        end as segment,

        -- when
        customers.created_at,
        customers.updated_at,
        customers._published_at as published_at
    from customers
    left join orders
        on customers.tenant_id = orders.tenant_id
        and customers.subject_ref = orders.customer_ref

)

select * from final
