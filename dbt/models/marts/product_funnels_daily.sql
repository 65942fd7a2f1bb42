{{ config(unique_key=['tenant_id', 'funnel', 'entered_date', 'step'], clustered_by=['tenant_id']) }}

with

events as (

    select * from {{ ref('int_product_events') }}
    where user_ref is not null

),

steps as (

    select * from {{ source('pinned', '_funnels') }}

),

hits as (

    select
        events.tenant_id,
        events.user_ref,
        events.occurred_at,
        events.event_date,
        events._published_at,
        events._version,
        steps.funnel,
        steps.step,
        steps.within_days
    from events
    inner join steps
        on events.event_type = steps.event_type
        and events.name = steps.step_name

),

{% if is_incremental() %}
changed as (

    select distinct
        tenant_id,
        funnel,
        event_date as changed_date,
        within_days
    from hits
    {{ where_changed('product_event') }}

),
{% endif %}

-- A user enters a funnel once a day. A late event matters to entries of its own day and of the days that reach it.
entries as (

    select
        hits.tenant_id,
        hits.user_ref,
        hits.funnel,
        hits.within_days,
        hits.event_date as entered_date,
        min(hits.occurred_at) as entered_at
    from hits
    {% if is_incremental() %}
    left semi join changed
        on hits.tenant_id = changed.tenant_id
        and hits.funnel = changed.funnel
        and hits.event_date between date_sub(changed.changed_date, changed.within_days) and changed.changed_date
    {% endif %}
    where hits.step = 1
    group by hits.tenant_id, hits.user_ref, hits.funnel, hits.within_days, hits.event_date

),

roads as (

    select
        entries.tenant_id,
        entries.user_ref,
        entries.funnel,
        entries.entered_date,
        max(hits._published_at) as published_at,
        array_sort(collect_list(struct(hits.occurred_at, hits.step))) as road
    from entries
    inner join hits
        on entries.tenant_id = hits.tenant_id
        and entries.user_ref = hits.user_ref
        and entries.funnel = hits.funnel
        and hits.occurred_at >= entries.entered_at
        and hits.event_date <= date_add(entries.entered_date, entries.within_days)
    group by entries.tenant_id, entries.user_ref, entries.funnel, entries.entered_date

),

-- The next step that comes up is taken; a step out of order counts for nothing.
reached as (

    select
        tenant_id,
        funnel,
        entered_date,
        published_at,
        aggregate(road, 0, (done, hit) -> if(hit.step = done + 1, done + 1, done)) as steps
    from roads

),

counted as (

    select
        reached.tenant_id,
        reached.funnel,
        reached.entered_date,
        taken.step,
        count(*) as users,
        max(reached.published_at) as published_at
    from reached
    lateral view explode(sequence(1, reached.steps)) taken as step
    group by reached.tenant_id, reached.funnel, reached.entered_date, taken.step

),

final as (

    select
        counted.tenant_id,
        counted.funnel,
        counted.entered_date,
        counted.step,
        steps.event_type,
        steps.step_name,
        counted.users,
        -- Whoever took any step took the first.
        max(counted.users) over (partition by counted.tenant_id, counted.funnel, counted.entered_date) as entered_users,
        counted.users / max(counted.users) over (
            partition by counted.tenant_id, counted.funnel, counted.entered_date
        ) as conversion,
        counted.published_at
    from counted
    inner join steps
        on counted.funnel = steps.funnel
        and counted.step = steps.step

)

select * from final
