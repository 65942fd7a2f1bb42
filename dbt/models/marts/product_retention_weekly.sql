-- Rebuilt whole: a late event can move a user to an earlier cohort, and with that every week of both cohorts.
{{ config(materialized='table', clustered_by=['tenant_id']) }}

with

weeks as (

    select distinct
        tenant_id,
        user_ref,
        cast(date_trunc('week', event_date) as date) as active_week
    from {{ ref('fct_user_activity_daily') }}

),

placed as (

    select
        tenant_id,
        user_ref,
        active_week,
        min(active_week) over (partition by tenant_id, user_ref) as cohort_week
    from weeks

),

counted as (

    select
        tenant_id,
        cohort_week,
        cast(datediff(active_week, cohort_week) / 7 as bigint) as weeks_after,
        count(*) as users
    from placed
    group by tenant_id, cohort_week, datediff(active_week, cohort_week)

),

final as (

    select
        tenant_id,
        cohort_week,
        weeks_after,
        users,
        -- Everybody is active in the first week, so that one holds the whole cohort.
        max(users) over (partition by tenant_id, cohort_week) as cohort_users,
        users / max(users) over (partition by tenant_id, cohort_week) as retention
    from counted

)

select * from final
