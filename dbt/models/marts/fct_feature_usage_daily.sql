{{ config(unique_key=['tenant_id', 'event_date', 'tier', 'event_type', 'name'], clustered_by=['tenant_id']) }}

with

events as (

    select * from {{ ref('int_product_events') }}

),

{% if is_incremental() %}
-- People and sessions are counted once a group, so a group that got a row is counted again as a whole.
touched as (

    select distinct
        tenant_id,
        event_date,
        tier,
        event_type,
        name
    from events
    {{ where_changed('product_event') }}

),
{% endif %}

final as (

    select
        events.tenant_id,
        events.event_date,
        events.tier,
        events.event_type,
        events.name,
        count(*) as events,
        count(distinct events.user_ref) as users,
        count(distinct events.session_id) as sessions,
        max(events._published_at) as published_at
    from events
    {% if is_incremental() %}
    left semi join touched
        on events.tenant_id = touched.tenant_id
        and events.event_date = touched.event_date
        and events.tier = touched.tier
        and events.event_type = touched.event_type
        and events.name <=> touched.name
    {% endif %}
    group by events.tenant_id, events.event_date, events.tier, events.event_type, events.name

)

select * from final
