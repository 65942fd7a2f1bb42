{{ config(unique_key=['tenant_id', 'order_id'], meta={'delete_when': 'is_gone'}) }}

with

orders as (

    select * from {{ ref('stg_commerce_order') }}
    {{ where_changed('commerce_order') }}

),

final as (

    select
        -- identity
        orders.tenant_id,
        orders.shop_id,
        orders.order_id,
        orders.order_name,
        orders.subject_ref as customer_ref,

        -- state
        orders.financial_status,
        orders.fulfillment_status,
        orders.channel,
        orders.subject_ref is not null as has_customer,
        orders.cancelled_at is not null as is_cancelled,

        -- where
        orders.shipping_city,
        orders.shipping_region,
        orders.shipping_country,
        {{ region_code('orders.shipping_country', 'orders.shipping_region') }} as region,

        -- money
        orders.currency,
        orders.total,
        orders.subtotal,
        orders.discounts,
        orders.tax,
        orders.shipping,
        orders.items_count,

        -- when
        orders.created_at as ordered_at,
        cast(orders.created_at as date) as ordered_date,
        orders.cancelled_at,
        orders.updated_at,
        orders._published_at as published_at

        {%- if is_incremental() %},
        orders._deleted_at is not null as is_gone
        {%- endif %}
    from orders
    {% if not is_incremental() %}where orders._deleted_at is null{% endif %}

)

select * from final
