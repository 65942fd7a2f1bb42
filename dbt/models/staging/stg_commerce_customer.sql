-- Written from the contract commerce.customer; `caudal batch staging` writes it again. Do not edit.
with

source as (

    select * from {{ source('pinned', 'commerce_customer') }}

),

-- Nobody sees the mask of an erased person, also where silver has not been cleaned yet.
erased as (

    select subject_ref from {{ source('pinned', '_erased') }}

),

final as (

    select
        source.shop_id as tenant_id,
        source.event_id,
        source.shop_id,
        source.customer_id,
        if(erased.subject_ref is null, source.customer_email, null) as customer_email,
        if(erased.subject_ref is null, source.customer_name, null) as customer_name,
        if(erased.subject_ref is null, source.customer_phone, null) as customer_phone,
        if(erased.subject_ref is null, source.address, null) as address,
        source.city,
        source.region,
        source.country,
        source.orders_count,
        source.total_spent,
        source.is_verified,
        source.state,
        source.created_at,
        source.updated_at,
        source.subject_ref,
        source._observed_at,
        source._published_at,
        source._contract_version,
        source._version,
        source._late,
        source._suppressed,
        source._deleted_at
    from source
    left join erased on source.subject_ref = erased.subject_ref

)

select * from final
