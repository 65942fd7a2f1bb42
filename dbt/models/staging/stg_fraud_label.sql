-- Written from the contract fraud.label; `caudal batch staging` writes it again. Do not edit.
with

source as (

    select * from {{ source('pinned', 'fraud_label') }}

),

final as (

    select
        source.event_id,
        source.tenant_id,
        source.transaction_id,
        source.transaction_event_id,
        source.merchant_id,
        source.is_fraud,
        source.kind,
        source.transaction_at,
        source.labelled_at,
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
