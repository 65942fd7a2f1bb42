{{ config(unique_key=['tenant_id', 'ordered_date', 'currency'], meta={'delete_when': 'is_gone'}) }}

with

orders as (

    select * from {{ ref('fct_orders') }}

),

silver as (

    select * from {{ ref('stg_commerce_order') }}

),

before as (

    select * from {{ source('published', 'published_fct_orders') }}

),

{% if is_incremental() %}
changed as (

    select
        tenant_id,
        order_id,
        currency,
        cast(created_at as date) as ordered_date
    from silver
    {{ where_changed('commerce_order') }}

),

-- An order can move between groups or leave them all: the group it was in is counted again, and the one it is in now.
touched as (

    select distinct
        changed.tenant_id,
        place.ordered_date,
        place.currency
    from changed
    left join before on changed.tenant_id = before.tenant_id and changed.order_id = before.order_id
    lateral view explode(array(
        named_struct('ordered_date', changed.ordered_date, 'currency', changed.currency),
        named_struct('ordered_date', before.ordered_date, 'currency', before.currency)
    )) as place
    where place.ordered_date is not null and place.currency is not null

),
{% endif %}

final as (

    select
        tenant_id,
        tenant_id as shop_id,
        ordered_date,
        currency,
        count(order_id) as orders,
        count_if(is_cancelled) as cancelled_orders,
        count_if(not has_customer) as orders_without_customer,
        cast(sum(items_count) as bigint) as items,
        cast(sum(total) as decimal(28, 2)) as total,
        cast(sum(if(is_cancelled, 0, total)) as decimal(28, 2)) as revenue,
        cast(sum(coalesce(discounts, 0)) as decimal(28, 2)) as discounts,
        cast(sum(coalesce(tax, 0)) as decimal(28, 2)) as tax,
        max(published_at) as published_at
        {%- if is_incremental() %},
        count(order_id) = 0 as is_gone
        {%- endif %}
    from {% if is_incremental() %}touched left join orders using (tenant_id, ordered_date, currency){% else %}orders{% endif %}

    group by tenant_id, ordered_date, currency

)

select * from final
