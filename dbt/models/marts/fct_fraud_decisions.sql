{{ config(unique_key=['tenant_id', 'event_id', 'decided_for'], meta={'insert_only': true}) }}

with

decisions as (

    select * from {{ ref('stg_fraud_decision') }}
    {{ where_changed('fraud_decision') }}

),

final as (

    select
        -- identity
        decisions.tenant_id,
        decisions.event_id,
        decisions.transaction_id,
        decisions.transaction_event_id,
        decisions.customer_ref,

        -- what
        decisions.outcome,
        decisions.score,
        decisions.reasons,
        decisions.amount,

        -- how
        decisions.origin_route,
        decisions.model_version,
        decisions.features_version,
        decisions.rules_version,
        decisions.latency_ms,

        -- when
        decisions.decided_for,
        cast(decisions.decided_for as date) as decided_date,
        decisions.decided_at,
        decisions._published_at as published_at
    from decisions

)

select * from final
