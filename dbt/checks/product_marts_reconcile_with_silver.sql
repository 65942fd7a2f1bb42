-- Every event of silver is counted once by use of features (if its plan shows it), by activity (if its user is known) and
-- by quota, for each tenant.
{{ config(tags=['full']) }}

with

silver as (

    select
        tenant_id,
        count(*) as events,
        count(subject_ref) as of_users
    from {{ ref('stg_product_event') }}
    group by tenant_id

),

shown as (

    select
        tenant_id,
        count(*) as events
    from {{ ref('int_product_events') }}
    group by tenant_id

),

features as (

    select
        tenant_id,
        sum(events) as events
    from {{ ref('fct_feature_usage_daily') }}
    group by tenant_id

),

activity as (

    select
        tenant_id,
        sum(events) as events
    from {{ ref('fct_user_activity_daily') }}
    group by tenant_id

),

quotas as (

    select
        tenant_id,
        sum(events) as events
    from {{ ref('product_quota_usage_monthly') }}
    group by tenant_id

),

counted as (

    select tenant_id, 'silver' as place, events, of_users, cast(null as bigint) as shown from silver
    union all
    select tenant_id, 'shown', null, null, events from shown
    union all
    select tenant_id, 'features', null, null, -events from features
    union all
    select tenant_id, 'activity', null, -events, null from activity
    union all
    select tenant_id, 'quotas', -events, null, null from quotas

)

select tenant_id
from counted
group by tenant_id
having
    coalesce(sum(events), 0) <> 0
    or coalesce(sum(of_users), 0) <> 0
    or coalesce(sum(shown), 0) <> 0
