{{ config(unique_key=['tenant_id', 'account_id', 'event_id']) }}

with

history as (

    select * from {{ ref('stg_payments_account_history') }}

),

touched as (

    select * from {{ ref('int_touched_accounts') }}

),

-- In the order of the source's log, which is the order in which the changes were made.
changes as (

    select
        history.*,
        lag(status) over (partition by history.tenant_id, history.account_id order by _sequence, event_id) as previous_status,
        lag(balance) over (partition by history.tenant_id, history.account_id order by _sequence, event_id) as previous_balance,
        lag(credit_limit) over (partition by history.tenant_id, history.account_id order by _sequence, event_id)
            as previous_credit_limit
    from history
    {% if is_incremental() %}
    left semi join touched on history.tenant_id = touched.tenant_id and history.account_id = touched.account_id
    {% endif %}

),

final as (

    select
        -- identity
        changes.tenant_id,
        changes.account_id,
        changes.event_id,
        changes.subject_ref as holder_ref,

        -- what was done, by whom
        case changes._op
            when 'c' then 'created'
            when 'u' then 'updated'
            when 'd' then 'deleted'
            when 'r' then 'read'
            when 't' then 'truncated'
        end as operation,
        changes._sequence as sequence,
        changes._source as source,
        changes._late as is_late,

        -- from what to what
        changes.previous_status,
        changes.status,
        changes.previous_balance,
        changes.balance,
        cast(changes.balance - changes.previous_balance as decimal(19, 2)) as balance_change,
        changes.previous_credit_limit,
        changes.credit_limit,

        -- when
        changes.updated_at as changed_at,
        changes._valid_to as held_until,
        changes._observed_at as observed_at,
        changes._published_at as published_at
    from changes

)

select * from final
