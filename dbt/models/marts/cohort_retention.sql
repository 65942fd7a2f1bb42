-- Rebuilt whole: any order may move its customer to another cohort, and who is in a cohort only a look at all orders says.
{{ config(materialized='table') }}

with

orders as (

    select * from {{ ref('int_orders') }}
    where not is_deleted and not is_cancelled and has_customer

),

by_month as (

    select
        tenant_id,
        customer_ref,
        cast(trunc(ordered_date, 'month') as date) as month,
        count(*) as orders
    from orders
    group by tenant_id, customer_ref, trunc(ordered_date, 'month')

),

in_cohorts as (

    select
        tenant_id,
        customer_ref,
        month,
        orders,
        min(month) over (partition by tenant_id, customer_ref) as cohort_month
    from by_month

),

by_cohort as (

    select
        tenant_id,
        cohort_month,
        cast(months_between(month, cohort_month) as int) as month_number,
        count(*) as customers,
        sum(orders) as orders
    from in_cohorts
    group by tenant_id, cohort_month, month

),

final as (

    select
        tenant_id,
        tenant_id as shop_id,
        cohort_month,
        month_number,
        -- In its first month everybody of a cohort has ordered.
        max(customers) over (partition by tenant_id, cohort_month) as cohort_size,
        customers,
        customers / max(customers) over (partition by tenant_id, cohort_month) as retention,
        cast(orders as bigint) as orders
    from by_cohort

)

select * from final
