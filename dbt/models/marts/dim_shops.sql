-- Rebuilt whole from the hours of each shop, which are few.
{{ config(materialized='table') }}

with

hours as (

    select * from {{ ref('revenue_hourly') }}

),

customers as (

    select * from {{ ref('stg_commerce_customer') }}
    where _deleted_at is null

),

by_currency as (

    select
        tenant_id,
        currency,
        sum(orders) as orders,
        sum(cancelled_orders) as cancelled_orders,
        sum(orders_without_customer) as orders_without_customer,
        sum(revenue) as revenue,
        min(first_order_at) as first_order_at,
        max(last_order_at) as last_order_at,
        max(published_at) as published_at
    from hours
    group by tenant_id, currency

),

sales as (

    select
        tenant_id,
        sum(orders) as orders,
        sum(cancelled_orders) as cancelled_orders,
        sum(orders_without_customer) as orders_without_customer,
        max_by(currency, struct(orders, currency)) as currency,
        max_by(revenue, struct(orders, currency)) as revenue,
        min(first_order_at) as first_order_at,
        max(last_order_at) as last_order_at,
        max(published_at) as published_at
    from by_currency
    group by tenant_id

),

people as (

    select
        tenant_id,
        count(*) as customers
    from customers
    group by tenant_id

),

final as (

    select
        -- identity
        coalesce(sales.tenant_id, people.tenant_id) as tenant_id,
        coalesce(sales.tenant_id, people.tenant_id) as shop_id,

        -- customers and orders
        coalesce(people.customers, 0) as customers_count,
        cast(coalesce(sales.orders, 0) as bigint) as orders_count,
        cast(coalesce(sales.cancelled_orders, 0) as bigint) as cancelled_orders,
        cast(sales.orders_without_customer / sales.orders as double) as without_customer_share,

        -- money
        sales.currency,
        cast(coalesce(sales.revenue, 0) as decimal(28, 2)) as revenue,

        -- when
        sales.first_order_at,
        sales.last_order_at,
        sales.published_at
    from sales
    full outer join people on sales.tenant_id = people.tenant_id

)

select * from final
