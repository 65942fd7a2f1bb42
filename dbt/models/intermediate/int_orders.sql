-- Orders at the pin, deleted ones marked, with the groups that marts count them in.
with

orders as (

    select * from {{ ref('stg_commerce_order') }}

),

final as (

    select
        tenant_id,
        order_id,
        subject_ref as customer_ref,
        currency,
        {{ region_code('shipping_country', 'shipping_region') }} as region,
        created_at as ordered_at,
        cast(created_at as date) as ordered_date,
        date_trunc('hour', created_at) as ordered_hour,
        total,
        discounts,
        items_count,
        subject_ref is not null as has_customer,
        cancelled_at is not null as is_cancelled,
        _deleted_at is not null as is_deleted,
        _published_at as published_at,
        _version
    from orders

)

select * from final
