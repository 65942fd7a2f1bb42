-- Who was active when, by any event. What a plan shows does not matter here: nobody sees types of events.
{{ config(unique_key=['tenant_id', 'user_ref', 'event_date'], clustered_by=['tenant_id']) }}

with

events as (

    select
        tenant_id,
        subject_ref as user_ref,
        session_id,
        _published_at,
        _version,
        cast(occurred_at as date) as event_date
    from {{ ref('stg_product_event') }}
    where subject_ref is not null

),

{% if is_incremental() %}
touched as (

    select distinct
        tenant_id,
        user_ref,
        event_date
    from events
    {{ where_changed('product_event') }}

),
{% endif %}

final as (

    select
        events.tenant_id,
        events.user_ref,
        events.event_date,
        count(*) as events,
        count(distinct events.session_id) as sessions,
        max(events._published_at) as published_at
    from events
    {% if is_incremental() %}
    left semi join touched
        on events.tenant_id = touched.tenant_id
        and events.user_ref = touched.user_ref
        and events.event_date = touched.event_date
    {% endif %}
    group by events.tenant_id, events.user_ref, events.event_date

)

select * from final
