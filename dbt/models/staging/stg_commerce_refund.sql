-- Written from the contract commerce.refund; `caudal batch staging` writes it again. Do not edit.
with

source as (

    select * from {{ source('pinned', 'commerce_refund') }}

),

final as (

    select
        source.shop_id as tenant_id,
        source.event_id,
        source.shop_id,
        source.refund_id,
        source.order_id,
        source.amount,
        source.currency,
        source.note,
        source.restock,
        source.lines,
        source.created_at,
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
