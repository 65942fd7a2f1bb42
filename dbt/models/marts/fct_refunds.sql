{{ config(unique_key=['tenant_id', 'event_id', 'refunded_at'], meta={'insert_only': true}) }}

with

refunds as (

    select * from {{ ref('stg_commerce_refund') }}
    {{ where_changed('commerce_refund') }}

),

final as (

    select
        -- identity
        refunds.tenant_id,
        refunds.shop_id,
        refunds.event_id,
        refunds.refund_id,
        refunds.order_id,

        -- what
        refunds.restock as is_restocked,
        size(refunds.lines) as lines_count,

        -- money
        refunds.currency,
        refunds.amount,

        -- when
        refunds.created_at as refunded_at,
        cast(refunds.created_at as date) as refunded_date,
        refunds._published_at as published_at
    from refunds

)

select * from final
