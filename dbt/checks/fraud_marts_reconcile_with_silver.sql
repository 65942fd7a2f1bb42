-- Every decision of silver is in gold once, to the cent, and the outcome that the scorer gave; every label about one of them
-- has arrived.
{{ config(tags=['full']) }}

with

decisions as (

    select
        decisions.tenant_id,
        count(*) as decisions,
        sum(decisions.amount) as amount,
        count_if(decisions.outcome = 'reject') as rejected
    from {{ ref('stg_fraud_decision') }} as decisions
    group by decisions.tenant_id

),

labels as (

    select
        decisions.tenant_id,
        count(*) as labelled
    from {{ ref('stg_fraud_decision') }} as decisions
    left semi join {{ ref('stg_fraud_label') }} as labels
        on decisions.tenant_id = labels.tenant_id
        and decisions.transaction_event_id = labels.transaction_event_id
    group by decisions.tenant_id

),

outcomes as (

    select
        tenant_id,
        count(*) as decisions,
        sum(amount) as amount,
        count_if(is_labelled) as labelled
    from {{ ref('fct_fraud_outcomes') }}
    group by tenant_id

),

performance as (

    select
        tenant_id,
        sum(decisions) as decisions,
        sum(rejected) as rejected,
        sum(labelled) as labelled
    from {{ ref('fraud_performance_daily') }}
    group by tenant_id

)

select coalesce(decisions.tenant_id, outcomes.tenant_id, performance.tenant_id) as tenant_id
from decisions
left join labels on decisions.tenant_id = labels.tenant_id
full outer join outcomes on decisions.tenant_id = outcomes.tenant_id
full outer join performance on coalesce(decisions.tenant_id, outcomes.tenant_id) = performance.tenant_id
where
    not decisions.decisions <=> outcomes.decisions
    or not decisions.amount <=> outcomes.amount
    or not coalesce(labels.labelled, 0) <=> outcomes.labelled
    or not decisions.decisions <=> performance.decisions
    or not decisions.rejected <=> performance.rejected
    or not coalesce(labels.labelled, 0) <=> performance.labelled
