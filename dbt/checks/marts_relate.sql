-- Who is named is there: products of lines, shops of customers, changes behind every state of an account.
{{ config(tags=['full']) }}

with

named as (

    select 'dim_products' as mart, tenant_id, product_id as key, false as is_there
    from {{ ref('fct_order_items') }}
    where product_id is not null
    union all
    select 'dim_products' as mart, tenant_id, product_id as key, true as is_there
    from {{ ref('dim_products') }}

    union all
    select 'dim_shops' as mart, tenant_id, tenant_id as key, false as is_there
    from {{ ref('dim_customers') }}
    union all
    select 'dim_shops' as mart, tenant_id, tenant_id as key, true as is_there
    from {{ ref('dim_shops') }}

    union all
    select 'fct_account_changes' as mart, tenant_id, event_id as key, false as is_there
    from {{ ref('dim_accounts_history') }}
    union all
    select 'fct_account_changes' as mart, tenant_id, event_id as key, true as is_there
    from {{ ref('fct_account_changes') }}

)

select
    mart,
    tenant_id
from named
group by mart, tenant_id, key
having not max(is_there)
