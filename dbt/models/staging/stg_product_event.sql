-- Written from the contract product.event; `caudal batch staging` writes it again. Do not edit.
with

source as (

    select * from {{ source('pinned', 'product_event') }}

),

-- Nobody sees the mask of an erased person, also where silver has not been cleaned yet.
erased as (

    select subject_ref from {{ source('pinned', '_erased') }}

),

final as (

    select
        source.event_id,
        source.tenant_id,
        source.tier,
        source.event_type,
        source.name,
        source.user_id,
        source.session_id,
        if(erased.subject_ref is null, source.user_email, null) as user_email,
        if(erased.subject_ref is null, source.ip_address, null) as ip_address,
        if(erased.subject_ref is null, source.device_id, null) as device_id,
        source.properties,
        source.occurred_at,
        source.subject_ref,
        source._observed_at,
        source._published_at,
        source._contract_version,
        source._version,
        source._late,
        source._suppressed
    from source
    left join erased on source.subject_ref = erased.subject_ref

)

select * from final
