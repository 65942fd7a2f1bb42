-- What the orders say about each customer. Amounts are summed in the currency the customer orders in most,
-- because a sum over currencies means nothing.
with

orders as (

    select * from {{ ref('int_orders') }}
    where has_customer and not is_deleted

),

by_currency as (

    select
        tenant_id,
        customer_ref,
        currency,
        count(*) as orders,
        cast(sum(if(is_cancelled, 0, total)) as decimal(28, 2)) as value,
        row_number() over (
            partition by tenant_id, customer_ref
            order by count(*) desc, currency asc
        ) as place
    from orders
    group by tenant_id, customer_ref, currency

),

by_customer as (

    select
        tenant_id,
        customer_ref,
        count(*) as orders_count,
        min(ordered_at) as first_order_at,
        max(ordered_at) as last_order_at
    from orders
    group by tenant_id, customer_ref

),

final as (

    select
        by_customer.tenant_id,
        by_customer.customer_ref,
        by_customer.orders_count,
        by_customer.first_order_at,
        by_customer.last_order_at,
        by_currency.currency,
        by_currency.value as lifetime_value
    from by_customer
    inner join by_currency
        on by_customer.tenant_id = by_currency.tenant_id
        and by_customer.customer_ref = by_currency.customer_ref
        and by_currency.place = 1

)

select * from final
