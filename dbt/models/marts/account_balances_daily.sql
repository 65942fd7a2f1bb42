{{ config(unique_key=['tenant_id', 'account_id', 'balance_date']) }}

with

history as (

    select * from {{ ref('stg_payments_account_history') }}
    where _op not in ('d', 't') and _deleted_at is null and _valid_from is not null

),

touched as (

    select * from {{ ref('int_touched_accounts') }}

),

by_day as (

    select
        history.tenant_id,
        history.account_id,
        cast(history._valid_from as date) as balance_date,
        count(*) as changes,
        min(history.balance) as lowest_balance,
        max(history.balance) as highest_balance,
        max_by(
            struct(history.balance, history.credit_limit, history._valid_to), struct(history._sequence, history.event_id)
        ) as closing,
        max(history._published_at) as published_at
    from history
    {% if is_incremental() %}
    left semi join touched on history.tenant_id = touched.tenant_id and history.account_id = touched.account_id
    {% endif %}
    group by history.tenant_id, history.account_id, cast(history._valid_from as date)

),

final as (

    select
        tenant_id,
        account_id,
        balance_date,
        changes,
        closing.balance as closing_balance,
        lowest_balance,
        highest_balance,
        closing.credit_limit,
        coalesce(lowest_balance < -coalesce(closing.credit_limit, 0), false) as was_over_limit,
        coalesce(
            lead(balance_date) over (partition by tenant_id, account_id order by balance_date),
            cast(closing._valid_to as date)
        ) as held_until_date,
        published_at
    from by_day

)

select * from final
