{{ config(unique_key=['tenant_id', 'product_id'], meta={'delete_when': 'is_gone'}) }}

with

orders as (

    select * from {{ ref('stg_commerce_order') }}
    {{ where_changed('commerce_order') }}

),

items as (

    select * from {{ ref('fct_order_items') }}
    where product_id is not null

),

before as (

    select * from {{ source('published', 'published_fct_order_items') }}
    where product_id is not null

),

products as (

    select distinct
        items.tenant_id,
        items.product_id
    from items

    {% if is_incremental() %}
    left semi join orders on items.tenant_id = orders.tenant_id and items.order_id = orders.order_id

    union

    select
        before.tenant_id,
        before.product_id
    from before
    left semi join orders on before.tenant_id = orders.tenant_id and before.order_id = orders.order_id
    {% endif %}

),

by_currency as (

    select
        tenant_id,
        product_id,
        currency,
        count(*) as lines,
        count(distinct order_id) as orders,
        sum(if(is_cancelled, 0, quantity)) as units,
        sum(if(is_cancelled, 0, amount)) as revenue,
        min(ordered_at) as first_order_at,
        max(ordered_at) as last_order_at,
        max(struct(ordered_at, order_id, line_number, title, sku)) as newest,
        max(published_at) as published_at
    from items
    group by tenant_id, product_id, currency

),

final as (

    select
        -- identity
        products.tenant_id,
        products.tenant_id as shop_id,
        products.product_id,

        -- what, as in its newest line
        max(by_currency.newest).title as title,
        max(by_currency.newest).sku as sku,

        -- sales
        cast(sum(by_currency.orders) as bigint) as orders_count,
        cast(sum(by_currency.units) as bigint) as units_sold,
        max_by(by_currency.currency, struct(by_currency.lines, by_currency.currency)) as currency,
        cast(max_by(by_currency.revenue, struct(by_currency.lines, by_currency.currency)) as decimal(28, 2)) as revenue,
        min(by_currency.first_order_at) as first_order_at,
        max(by_currency.last_order_at) as last_order_at,
        max(by_currency.published_at) as published_at

        {%- if is_incremental() %},
        count(by_currency.product_id) = 0 as is_gone
        {%- endif %}
    from products
    left join by_currency
        on products.tenant_id = by_currency.tenant_id
        and products.product_id = by_currency.product_id
    group by products.tenant_id, products.product_id

)

select * from final
