-- Written from the contract fraud.decision; `caudal batch staging` writes it again. Do not edit.
with

source as (

    select * from {{ source('pinned', 'fraud_decision') }}

),

final as (

    select
        source.event_id,
        source.tenant_id,
        source.transaction_id,
        source.transaction_event_id,
        source.customer_ref,
        source.amount,
        source.outcome,
        source.score,
        source.reasons,
        source.model_version,
        source.features_version,
        source.rules_version,
        source.state_digest,
        source.features,
        source.entities,
        source.origin_route,
        source.latency_ms,
        source.decided_for,
        source.decided_at,
        source.subject_ref,
        source._observed_at,
        source._published_at,
        source._contract_version,
        source._version,
        source._late,
        source._suppressed
    from source

)

select * from final
