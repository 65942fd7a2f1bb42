{{ config(unique_key=['tenant_id', 'order_id', 'line_number'], meta={'delete_when': 'is_gone'}) }}

with

orders as (

    select * from {{ ref('stg_commerce_order') }}
    {{ where_changed('commerce_order') }}

),

lines as (

    select
        orders.tenant_id,
        orders.order_id,
        position + 1 as line_number,
        line.line_id,
        line.product_id,
        line.variant_id,
        line.sku,
        line.title,
        cast(line.quantity as bigint) as quantity,
        line.price,
        line.discount,
        orders.currency,
        orders.cancelled_at is not null as is_cancelled,
        orders.created_at as ordered_at,
        orders._published_at as published_at
    from orders
    lateral view posexplode(orders.line_items) as position, line
    where orders._deleted_at is null

),

-- With the lines that the mart has of a changed order: those that the order has no longer leave.
places as (

    select
        tenant_id,
        order_id,
        line_number
    from lines

    {% if is_incremental() %}
    union

    select
        known.tenant_id,
        known.order_id,
        known.line_number
    from {{ this }} as known
    left semi join orders on known.tenant_id = orders.tenant_id and known.order_id = orders.order_id
    {% endif %}

),

final as (

    select
        -- identity
        places.tenant_id,
        places.tenant_id as shop_id,
        places.order_id,
        places.line_number,
        lines.line_id,

        -- what
        lines.product_id,
        lines.variant_id,
        lines.sku,
        lines.title,
        lines.is_cancelled,

        -- money
        lines.currency,
        lines.quantity,
        lines.price,
        cast(coalesce(lines.discount, 0) as decimal(18, 2)) as discount,
        cast(lines.price * lines.quantity - coalesce(lines.discount, 0) as decimal(28, 2)) as amount,

        -- when
        lines.ordered_at,
        cast(lines.ordered_at as date) as ordered_date,
        lines.published_at

        {%- if is_incremental() %},
        lines.order_id is null as is_gone
        {%- endif %}
    from places
    left join lines
        on places.tenant_id = lines.tenant_id
        and places.order_id = lines.order_id
        and places.line_number = lines.line_number

)

select * from final
