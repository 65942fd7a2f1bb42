{{ config(unique_key=['tenant_id', 'event_id', 'decided_for'], clustered_by=['tenant_id']) }}

with

decisions as (

    select * from {{ ref('stg_fraud_decision') }}

),

labels as (

    select * from {{ ref('stg_fraud_label') }}

),

payments as (

    select * from {{ ref('stg_payments_transaction') }}

),

{% if is_incremental() %}
touched as (

    {{ touched_payments() }}

),
{% endif %}

-- Of several labels the newest holds: an analyst may take a chargeback back.
newest_labels as (

    select
        tenant_id,
        transaction_event_id,
        max_by(
            struct(is_fraud, kind, labelled_at, _published_at),
            struct(labelled_at, event_id, _published_at)
        ) as label
    from labels
    group by tenant_id, transaction_event_id

),

final as (

    select
        -- identity
        decisions.tenant_id,
        decisions.event_id,
        decisions.transaction_id,
        decisions.transaction_event_id,
        payments.card_ref,

        -- decision
        decisions.outcome,
        decisions.outcome <> 'approve' as is_flagged,
        decisions.score,
        decisions.amount,
        decisions.model_version,
        decisions.latency_ms,

        -- truth
        newest_labels.label is not null as is_labelled,
        newest_labels.label.is_fraud,
        newest_labels.label.kind as label_kind,
        newest_labels.label.labelled_at,

        -- when
        decisions.decided_for,
        cast(decisions.decided_for as date) as decided_date,
        greatest(decisions._published_at, newest_labels.label._published_at) as published_at
    from decisions
    {% if is_incremental() %}
    left semi join touched
        on decisions.tenant_id = touched.tenant_id
        and decisions.transaction_event_id = touched.transaction_event_id
    {% endif %}
    left join newest_labels
        on decisions.tenant_id = newest_labels.tenant_id
        and decisions.transaction_event_id = newest_labels.transaction_event_id
    left join payments
        on decisions.tenant_id = payments.tenant_id
        and decisions.transaction_event_id = payments.event_id
        and decisions.decided_for = payments.occurred_at

)

select * from final
