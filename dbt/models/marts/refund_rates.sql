-- By the day of the order, so that a refund that comes weeks later corrects the day it belongs to.
{{ config(unique_key=['tenant_id', 'ordered_date', 'currency'], meta={'delete_when': 'is_gone'}) }}

with

orders as (

    select * from {{ ref('int_orders') }}
    where not is_deleted

),

changes as (

    select * from {{ ref('int_order_changes') }}

),

refunds as (

    select * from {{ ref('stg_commerce_refund') }}

),

{% if is_incremental() %}
refunded_now as (

    select
        tenant_id,
        order_id
    from refunds
    {{ where_changed('commerce_refund') }}

),
{% endif %}

groups as (

    {% if is_incremental() %}
    select
        tenant_id,
        ordered_date,
        currency
    from changes

    union

    select
        orders.tenant_id,
        orders.ordered_date,
        orders.currency
    from orders
    left semi join refunded_now
        on orders.tenant_id = refunded_now.tenant_id
        and orders.order_id = refunded_now.order_id
    {% else %}
    select distinct
        tenant_id,
        ordered_date,
        currency
    from orders
    {% endif %}

),

by_order as (

    select
        tenant_id,
        order_id,
        currency,
        count(*) as refunds,
        sum(amount) as amount
    from refunds
    group by tenant_id, order_id, currency

),

final as (

    select
        groups.tenant_id,
        groups.tenant_id as shop_id,
        groups.ordered_date,
        groups.currency,
        count(orders.order_id) as orders,
        count(by_order.order_id) as refunded_orders,
        cast(coalesce(sum(by_order.refunds), 0) as bigint) as refunds,
        cast(sum(orders.total) as decimal(28, 2)) as total,
        cast(coalesce(sum(by_order.amount), 0) as decimal(28, 2)) as refunded,
        count(by_order.order_id) / nullif(count(orders.order_id), 0) as refunded_orders_share,
        cast(coalesce(sum(by_order.amount), 0) / nullif(sum(orders.total), 0) as double) as refunded_share

        {%- if is_incremental() %},
        count(orders.order_id) = 0 as is_gone
        {%- endif %}
    from groups
    left join orders
        on groups.tenant_id = orders.tenant_id
        and groups.ordered_date = orders.ordered_date
        and groups.currency = orders.currency
    left join by_order
        on orders.tenant_id = by_order.tenant_id
        and orders.order_id = by_order.order_id
        and orders.currency = by_order.currency
    group by groups.tenant_id, groups.ordered_date, groups.currency

)

select * from final
