-- What counts against a quota is everything that was sent, also what the plan does not show.
{{ config(unique_key=['tenant_id', 'usage_month'], clustered_by=['tenant_id']) }}

with

events as (

    select
        tenant_id,
        tier,
        event_id,
        subject_ref as user_ref,
        occurred_at,
        _published_at,
        _version,
        cast(date_trunc('month', occurred_at) as date) as usage_month
    from {{ ref('stg_product_event') }}

),

quotas as (

    select * from {{ source('pinned', '_quotas') }}

),

{% if is_incremental() %}
touched as (

    select distinct
        tenant_id,
        usage_month
    from events
    {{ where_changed('product_event') }}

),
{% endif %}

-- The plan of a month is that of its newest event.
used as (

    select
        events.tenant_id,
        events.usage_month,
        max_by(events.tier, struct(events.occurred_at, events.event_id)) as tier,
        count(*) as events,
        count(distinct events.user_ref) as users,
        max(events._published_at) as published_at
    from events
    {% if is_incremental() %}
    left semi join touched
        on events.tenant_id = touched.tenant_id
        and events.usage_month = touched.usage_month
    {% endif %}
    group by events.tenant_id, events.usage_month

),

final as (

    select
        used.tenant_id,
        used.usage_month,
        used.tier,
        used.events,
        quotas.events_per_month as events_quota,
        used.events / quotas.events_per_month as events_share,
        used.users,
        quotas.users_per_month as users_quota,
        used.users / quotas.users_per_month as users_share,
        coalesce(used.events > quotas.events_per_month, false)
        or coalesce(used.users > quotas.users_per_month, false) as is_over_quota,
        used.published_at
    from used
    left join quotas on used.tier = quotas.tier

)

select * from final
