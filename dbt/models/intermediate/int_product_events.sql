-- Product events that may be shown: those of types that the plan had when they happened.
with

events as (

    select * from {{ ref('stg_product_event') }}

),

shown as (

    select * from {{ source('pinned', '_shown') }}

),

final as (

    select
        events.tenant_id,
        events.tier,
        events.event_type,
        events.name,
        events.subject_ref as user_ref,
        events.session_id,
        events.occurred_at,
        cast(events.occurred_at as date) as event_date,
        events._published_at,
        events._version
    from events
    left semi join shown
        on events.tier = shown.tier
        and events.event_type = shown.event_type

)

select * from final
