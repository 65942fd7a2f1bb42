{{ config(unique_key=['tenant_id', 'account_id', 'occurred_date', 'currency']) }}

with

transactions as (

    select
        *,
        cast(occurred_at as date) as occurred_date
    from {{ ref('stg_payments_transaction') }}

),

{% if is_incremental() %}
-- A payment is in the hour of every payment up to an hour after it, which may be on the next day.
touched as (

    select distinct
        tenant_id,
        account_id,
        currency,
        explode(array(occurred_date, cast(occurred_at + interval 1 hour as date))) as occurred_date
    from transactions
    {{ where_changed('payments_transaction') }}

),
{% endif %}

in_hour as (

    select
        transactions.*,
        count(*) over (
            partition by tenant_id, account_id, currency order by occurred_at
            range between interval 1 hour preceding and current row
        ) as transactions_1h,
        sum(amount) over (
            partition by tenant_id, account_id, currency order by occurred_at
            range between interval 1 hour preceding and current row
        ) as amount_1h
    from transactions

    {% if is_incremental() %}
    -- Whole days, and of the day before what the first hour looks back on.
    left semi join touched
        on transactions.tenant_id = touched.tenant_id
        and transactions.account_id = touched.account_id
        and transactions.currency = touched.currency
        and transactions.occurred_date between date_sub(touched.occurred_date, 1) and touched.occurred_date
    {% endif %}

),

final as (

    select
        in_hour.tenant_id,
        in_hour.account_id,
        in_hour.occurred_date,
        in_hour.currency,
        count(*) as transactions,
        count(distinct in_hour.device_ref) as devices,
        count(distinct in_hour.payee_ref) as payees,
        cast(sum(in_hour.amount) as decimal(28, 2)) as amount,
        max(in_hour.transactions_1h) as max_transactions_1h,
        cast(max(in_hour.amount_1h) as decimal(28, 2)) as max_amount_1h,
        max(in_hour._published_at) as published_at
    from in_hour

    {% if is_incremental() %}
    left semi join touched
        on in_hour.tenant_id = touched.tenant_id
        and in_hour.account_id = touched.account_id
        and in_hour.currency = touched.currency
        and in_hour.occurred_date = touched.occurred_date
    {% endif %}
    group by in_hour.tenant_id, in_hour.account_id, in_hour.occurred_date, in_hour.currency

)

select * from final
