-- Only an increment reads these, so dbt has to be told:
-- depends_on: {{ ref('stg_fraud_decision') }}
-- depends_on: {{ ref('stg_fraud_label') }}
-- depends_on: {{ ref('stg_payments_transaction') }}

-- A payment without a label counts as honest, as chargebacks name frauds only. Until a day has its first label nothing is
-- said about right and wrong.
{{ config(unique_key=['tenant_id', 'decided_date', 'model_version'], clustered_by=['tenant_id']) }}

with

outcomes as (

    select
        *,
        coalesce(is_fraud, false) as was_fraud
    from {{ ref('fct_fraud_outcomes') }}

),

{% if is_incremental() %}
touched as (

    {{ touched_payments() }}

),

touched_days as (

    select distinct
        outcomes.tenant_id,
        outcomes.decided_date
    from outcomes
    left semi join touched
        on outcomes.tenant_id = touched.tenant_id
        and outcomes.transaction_event_id = touched.transaction_event_id

),
{% endif %}

judged as (

    select outcomes.*
    from outcomes
    {% if is_incremental() %}
    left semi join touched_days
        on outcomes.tenant_id = touched_days.tenant_id
        and outcomes.decided_date = touched_days.decided_date
    {% endif %}

),

cards as (

    select
        tenant_id,
        decided_date,
        model_version,
        card_ref,
        max(was_fraud) as was_fraud,
        row_number() over (
            partition by tenant_id, decided_date, model_version
            order by max(score) desc, card_ref asc
        ) as place
    from judged
    where card_ref is not null
    group by tenant_id, decided_date, model_version, card_ref

),

-- Of the hundred cards that looked worst that day, how many were really abused: what a team that can look at a hundred
-- cards a day gets for its work.
worst_cards as (

    select
        tenant_id,
        decided_date,
        model_version,
        count_if(was_fraud) / count(*) as card_precision
    from cards
    where place <= 100
    group by tenant_id, decided_date, model_version

),

counted as (

    select
        tenant_id,
        decided_date,
        model_version,
        count(*) as decisions,
        count_if(outcome = 'approve') as approved,
        count_if(outcome = 'review') as reviewed,
        count_if(outcome = 'reject') as rejected,
        count_if(is_labelled) as labelled,
        count_if(was_fraud) as frauds,
        count_if(is_flagged and was_fraud) as caught,
        count_if(is_flagged and not was_fraud) as false_alarms,
        sum(if(outcome = 'reject' and was_fraud, amount, 0)) as amount_saved,
        sum(if(outcome = 'reject' and not was_fraud, amount, 0)) as amount_blocked_by_mistake,
        sum(if(outcome = 'approve' and was_fraud, amount, 0)) as amount_lost,
        percentile(latency_ms, array(0.5, 0.95, 0.99)) as latency_ms,
        max(latency_ms) as latency_max_ms,
        max(published_at) as published_at
    from judged
    group by tenant_id, decided_date, model_version

),

final as (

    select
        counted.tenant_id,
        counted.decided_date,
        counted.model_version,

        -- what was decided
        counted.decisions,
        counted.approved,
        counted.reviewed,
        counted.rejected,

        -- how right it was
        counted.labelled,
        counted.frauds,
        counted.caught,
        counted.false_alarms,
        if(counted.labelled > 0, counted.caught / nullif(counted.caught + counted.false_alarms, 0), null) as precision,
        if(counted.labelled > 0, counted.caught / nullif(counted.frauds, 0), null) as recall,
        if(counted.labelled > 0, worst_cards.card_precision, null) as card_precision_100,

        -- money
        if(counted.labelled > 0, cast(counted.amount_saved as decimal(28, 2)), null) as amount_saved,
        if(
            counted.labelled > 0, cast(counted.amount_blocked_by_mistake as decimal(28, 2)), null
        ) as amount_blocked_by_mistake,
        if(counted.labelled > 0, cast(counted.amount_lost as decimal(28, 2)), null) as amount_lost,

        -- how fast
        counted.latency_ms[0] as latency_p50_ms,
        counted.latency_ms[1] as latency_p95_ms,
        counted.latency_ms[2] as latency_p99_ms,
        counted.latency_max_ms,

        -- when
        counted.published_at
    from counted
    left join worst_cards
        on counted.tenant_id = worst_cards.tenant_id
        and counted.decided_date = worst_cards.decided_date
        and counted.model_version = worst_cards.model_version

)

select * from final
