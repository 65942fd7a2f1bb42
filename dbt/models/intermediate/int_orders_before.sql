-- The groups that orders were counted in when the published gold was built.
with

orders as (

    select * from {{ source('before', 'before_commerce_order') }}
    where _deleted_at is null

),

final as (

    select
        shop_id as tenant_id,
        order_id,
        currency,
        {{ region_code('shipping_country', 'shipping_region') }} as region,
        cast(created_at as date) as ordered_date,
        date_trunc('hour', created_at) as ordered_hour
    from orders

)

select * from final
