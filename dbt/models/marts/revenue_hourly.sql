{{ config(unique_key=['tenant_id', 'ordered_hour', 'region', 'currency'], meta={'delete_when': 'is_gone'}) }}

with

orders as (

    select * from {{ ref('int_orders') }}
    where not is_deleted

),

changes as (

    select * from {{ ref('int_order_changes') }}

),

groups as (

    select distinct
        tenant_id,
        ordered_hour,
        region,
        currency
    from {{ 'changes' if is_incremental() else 'orders' }}

),

final as (

    select
        groups.tenant_id,
        groups.tenant_id as shop_id,
        groups.ordered_hour,
        cast(groups.ordered_hour as date) as ordered_date,
        groups.region,
        groups.currency,
        count(orders.order_id) as orders,
        count_if(orders.is_cancelled) as cancelled_orders,
        count_if(not orders.has_customer) as orders_without_customer,
        cast(sum(orders.items_count) as bigint) as items,
        cast(sum(orders.total) as decimal(28, 2)) as total,
        cast(sum(if(orders.is_cancelled, 0, orders.total)) as decimal(28, 2)) as revenue,
        min(orders.ordered_at) as first_order_at,
        max(orders.ordered_at) as last_order_at,
        max(orders.published_at) as published_at

        {%- if is_incremental() %},
        count(orders.order_id) = 0 as is_gone
        {%- endif %}
    from groups
    left join orders
        on groups.tenant_id = orders.tenant_id
        and groups.ordered_hour = orders.ordered_hour
        and groups.region <=> orders.region
        and groups.currency = orders.currency
    group by groups.tenant_id, groups.ordered_hour, groups.region, groups.currency

)

select * from final
