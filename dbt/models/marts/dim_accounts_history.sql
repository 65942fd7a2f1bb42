{{ config(unique_key=['tenant_id', 'account_id', 'event_id'], meta={'delete_when': 'is_gone'}) }}

with

history as (

    select * from {{ ref('stg_payments_account_history') }}

),

touched as (

    select * from {{ ref('int_touched_accounts') }}

),

-- Deletes and truncates end a version and are none. A version that a later change of the same time replaced never held.
versions as (

    select
        history.*,
        coalesce(_op not in ('d', 't') and _deleted_at is null and (_valid_to is null or _valid_to > _valid_from), false)
            as has_held
    from history
    {% if is_incremental() %}
    left semi join touched on history.tenant_id = touched.tenant_id and history.account_id = touched.account_id
    {% endif %}

),

final as (

    select
        -- identity
        versions.tenant_id,
        versions.account_id,
        versions.event_id,
        versions.subject_ref as holder_ref,

        -- state
        versions.status,

        -- money
        versions.balance,
        versions.credit_limit,

        -- when
        versions.opened_at,
        versions._valid_from as valid_from,
        versions._valid_to as valid_to,
        versions._current as is_current,
        versions._published_at as published_at

        {%- if is_incremental() %},
        not versions.has_held as is_gone
        {%- endif %}
    from versions
    {% if not is_incremental() %}where versions.has_held{% endif %}

)

select * from final
