{{ config(unique_key=['tenant_id', 'month', 'method', 'currency']) }}

{% set reported = var('reported_from') %}

with

transactions as (

    select
        *,
        cast(trunc(occurred_at, 'month') as date) as month
    from {{ ref('stg_payments_transaction') }}

),

{% if is_incremental() %}
touched as (

    select distinct
        tenant_id,
        month,
        method,
        currency
    from transactions
    {{ where_changed('payments_transaction') }}

),
{% endif %}

final as (

    select
        transactions.tenant_id,
        transactions.month,
        transactions.method,
        transactions.currency,
        count(*) as transactions,
        cast(sum(transactions.amount) as decimal(28, 2)) as amount,
        count(distinct transactions.subject_ref) as payers,
        count_if(transactions.subject_ref is null) as transactions_without_payer,
        count_if(transactions.amount >= {{ reported }}) as reported_transactions,
        cast(coalesce(sum(if(transactions.amount >= {{ reported }}, transactions.amount, 0)), 0) as decimal(28, 2))
            as reported_amount,
        max(transactions._published_at) as published_at
    from transactions
    {% if is_incremental() %}
    left semi join touched
        on transactions.tenant_id = touched.tenant_id
        and transactions.month = touched.month
        and transactions.method = touched.method
        and transactions.currency = touched.currency
    {% endif %}
    group by transactions.tenant_id, transactions.month, transactions.method, transactions.currency

)

select * from final
