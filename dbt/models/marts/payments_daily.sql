{{ config(unique_key=['tenant_id', 'occurred_date', 'method', 'currency']) }}

with

transactions as (

    select
        *,
        cast(occurred_at as date) as occurred_date
    from {{ ref('stg_payments_transaction') }}

),

{% if is_incremental() %}
-- Accounts are counted once a group, so a group that got a row is counted again as a whole, however late the row came.
touched as (

    select distinct
        tenant_id,
        occurred_date,
        method,
        currency
    from transactions
    {{ where_changed('payments_transaction') }}

),
{% endif %}

final as (

    select
        transactions.tenant_id,
        transactions.occurred_date,
        transactions.method,
        transactions.currency,
        count(*) as transactions,
        count_if(transactions._late) as late_transactions,
        count(distinct transactions.account_id) as accounts,
        count(distinct transactions.merchant_id) as merchants,
        cast(sum(transactions.amount) as decimal(28, 2)) as amount,
        max(transactions.amount) as largest_amount,
        max(transactions._published_at) as published_at
    from transactions
    {% if is_incremental() %}
    left semi join touched
        on transactions.tenant_id = touched.tenant_id
        and transactions.occurred_date = touched.occurred_date
        and transactions.method = touched.method
        and transactions.currency = touched.currency
    {% endif %}
    group by transactions.tenant_id, transactions.occurred_date, transactions.method, transactions.currency

)

select * from final
