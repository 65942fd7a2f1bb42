-- Written from the contract commerce.order; `caudal batch staging` writes it again. Do not edit.
with

source as (

    select * from {{ source('pinned', 'commerce_order') }}

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
        source.order_id,
        source.order_name,
        source.financial_status,
        source.fulfillment_status,
        source.currency,
        source.total,
        source.subtotal,
        source.discounts,
        source.tax,
        source.shipping,
        source.items_count,
        source.line_items,
        source.customer_id,
        if(erased.subject_ref is null, source.customer_email, null) as customer_email,
        if(erased.subject_ref is null, source.customer_name, null) as customer_name,
        if(erased.subject_ref is null, source.customer_phone, null) as customer_phone,
        if(erased.subject_ref is null, source.shipping_phone, null) as shipping_phone,
        if(erased.subject_ref is null, source.shipping_address, null) as shipping_address,
        source.shipping_city,
        source.shipping_region,
        source.shipping_country,
        source.channel,
        source.cancelled_at,
        source.created_at,
        source.updated_at,
        source.subject_ref,
        source.shipping_ref,
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
