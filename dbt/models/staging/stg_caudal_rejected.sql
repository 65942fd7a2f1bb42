-- Written from the contract caudal.rejected; `caudal batch staging` writes it again. Do not edit.
with

source as (

    select * from {{ source('pinned', 'caudal_rejected') }}

),

final as (

    select
        source.event_id,
        source.tenant_id,
        source.contract,
        source.route,
        source.code,
        source.path,
        source.payload,
        source.payload_bytes,
        source.rejected_at,
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
