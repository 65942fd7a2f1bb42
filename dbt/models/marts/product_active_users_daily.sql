{{ config(unique_key=['tenant_id', 'event_date'], clustered_by=['tenant_id']) }}

with

activity as (

    select * from {{ ref('fct_user_activity_daily') }}

),

events as (

    select * from {{ ref('stg_product_event') }}

),

{% if is_incremental() %}
changed as (

    select distinct
        tenant_id,
        cast(occurred_at as date) as changed_date
    from events
    {{ where_changed('product_event') }}

),
{% endif %}

-- Days with at least one active user. A late event changes its own day and the 29 after it.
days as (

    select distinct
        activity.tenant_id,
        activity.event_date
    from activity
    {% if is_incremental() %}
    left semi join changed
        on activity.tenant_id = changed.tenant_id
        and activity.event_date between changed.changed_date and date_add(changed.changed_date, 29)
    {% endif %}

),

-- Each day of a user counts for itself and the 29 days after it, so one pass finds all three windows of every day.
reach as (

    select
        activity.tenant_id,
        activity.user_ref,
        date_add(activity.event_date, age.days) as event_date,
        min(age.days) as days_ago,
        max(activity.published_at) as published_at
    from activity
    lateral view explode(sequence(0, 29)) age as days
    group by activity.tenant_id, activity.user_ref, date_add(activity.event_date, age.days)

),

final as (

    select
        days.tenant_id,
        days.event_date,
        count_if(reach.days_ago = 0) as daily_users,
        count_if(reach.days_ago < 7) as weekly_users,
        count(*) as monthly_users,
        count_if(reach.days_ago = 0) / count(*) as stickiness,
        max(reach.published_at) as published_at
    from days
    inner join reach
        on days.tenant_id = reach.tenant_id
        and days.event_date = reach.event_date
    group by days.tenant_id, days.event_date

)

select * from final
