{{ config(unique_key=['tenant_id', 'event_id', 'occurred_at'], meta={'insert_only': true}) }}

with

transactions as (

    select * from {{ ref('stg_payments_transaction') }}
    {{ where_changed('payments_transaction') }}

),

final as (

    select
        -- identity
        transactions.tenant_id,
        transactions.event_id,
        transactions.transaction_id,
        transactions.account_id,
        transactions.merchant_id,
        transactions.subject_ref as customer_ref,
        transactions.card_ref,
        transactions.device_ref,
        transactions.payee_ref,

        -- what
        transactions.method,
        transactions._late as is_late,

        -- money
        transactions.currency,
        transactions.amount,

        -- when
        transactions.occurred_at,
        cast(transactions.occurred_at as date) as occurred_date,
        transactions._published_at as published_at
    from transactions

)

select * from final
