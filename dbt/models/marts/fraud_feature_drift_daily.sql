-- Population stability index of each logged feature: the day against the 28 days before it, over the bins' shares p and q,
-- sum((p - q) * ln(p / q)), with half a decision in every bin so that none is empty. Rebuilt whole from the bins, which are
-- few: a late decision changes the 28 days after it.
{{ config(materialized='table', clustered_by=['tenant_id']) }}

with

bins as (

    select * from {{ ref('fraud_feature_bins_daily') }}

),

days as (

    select
        tenant_id,
        decided_date,
        feature,
        sum(decisions) as decisions
    from bins
    group by tenant_id, decided_date, feature

),

-- Each day's bin counts for itself, and as the past of the 28 days after it.
reach as (

    select
        bins.tenant_id,
        bins.feature,
        bins.bin,
        date_add(bins.decided_date, age.days) as decided_date,
        sum(if(age.days = 0, bins.decisions, 0)) as now_decisions,
        sum(if(age.days > 0, bins.decisions, 0)) as past_decisions
    from bins
    lateral view explode(sequence(0, 28)) age as days
    group by bins.tenant_id, bins.feature, bins.bin, date_add(bins.decided_date, age.days)

),

totals as (

    select
        days.tenant_id,
        days.decided_date,
        days.feature,
        days.decisions,
        reach.now_decisions,
        reach.past_decisions,
        count(*) over of_day as bins,
        sum(reach.past_decisions) over of_day as baseline_decisions
    from days
    inner join reach
        on days.tenant_id = reach.tenant_id
        and days.decided_date = reach.decided_date
        and days.feature = reach.feature
    window of_day as (partition by days.tenant_id, days.decided_date, days.feature)

),

shares as (

    select
        *,
        (now_decisions + 0.5D) / (decisions + 0.5D * bins) as now_share,
        (past_decisions + 0.5D) / (baseline_decisions + 0.5D * bins) as past_share
    from totals

),

summed as (

    select
        tenant_id,
        decided_date,
        feature,
        max(decisions) as decisions,
        max(baseline_decisions) as baseline_decisions,
        sum((now_share - past_share) * ln(now_share / past_share)) as index
    from shares
    group by tenant_id, decided_date, feature

),

final as (

    select
        tenant_id,
        decided_date,
        feature,
        decisions,
        baseline_decisions,
        if(baseline_decisions > 0, round(index, 6), null) as psi,
        case
            when baseline_decisions = 0 then 'unknown'
            when index < 0.1 then 'stable'
            when index < 0.25 then 'shifted'
            else 'drifted'
        end as drift
    from summed

)

select * from final
