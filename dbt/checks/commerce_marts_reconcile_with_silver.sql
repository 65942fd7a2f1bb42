-- Hours, refund rates, lines and refunds are exactly silver's: by shop, the number and the sum to the cent.
-- Silver's rows count up, gold's count down, so that one pass over each table and one grouping is all.
{{ config(tags=['full']) }}

with

orders as (

    select * from {{ ref('stg_commerce_order') }}
    where _deleted_at is null

),

refunds as (

    select * from {{ ref('stg_commerce_refund') }}

),

-- Of refunds those whose order is there, in its currency.
matched as (

    select refunds.*
    from refunds
    left semi join orders
        on refunds.tenant_id = orders.tenant_id
        and refunds.order_id = orders.order_id
        and refunds.currency = orders.currency

),

counted as (

    select tenant_id, 'revenue_hourly' as mart, 1 as n, total as amount
    from orders
    union all
    select tenant_id, 'revenue_hourly' as mart, -orders as n, -total as amount
    from {{ ref('revenue_hourly') }}

    union all
    select tenant_id, 'orders of refund_rates' as mart, 1 as n, total as amount
    from orders
    union all
    select tenant_id, 'orders of refund_rates' as mart, -orders as n, -total as amount
    from {{ ref('refund_rates') }}

    union all
    select tenant_id, 'refunds of refund_rates' as mart, 1 as n, amount
    from matched
    union all
    select tenant_id, 'refunds of refund_rates' as mart, -refunds as n, -refunded as amount
    from {{ ref('refund_rates') }}

    union all
    select orders.tenant_id, 'fct_order_items' as mart, 1 as n, line.price * line.quantity - coalesce(line.discount, 0) as amount
    from orders
    lateral view explode(orders.line_items) as line
    union all
    select tenant_id, 'fct_order_items' as mart, -1 as n, -amount as amount
    from {{ ref('fct_order_items') }}

    union all
    select tenant_id, 'fct_refunds' as mart, 1 as n, amount
    from refunds
    union all
    select tenant_id, 'fct_refunds' as mart, -1 as n, -amount as amount
    from {{ ref('fct_refunds') }}

)

select
    mart,
    tenant_id
from counted
group by mart, tenant_id
having sum(n) != 0 or sum(amount) != 0
