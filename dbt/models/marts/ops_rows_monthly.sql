-- Rows that silver holds now, by the month in which they were published. Rebuilt whole: rows are also replaced and expire.
{{ config(materialized='table') }}

with

silver as (

    select * from {{ source('pinned', '_silver') }}

),

final as (

    select
        coalesce(tenant_id, '') as tenant_id,
        contract,
        cast(date_trunc('month', published_at) as date) as published_month,
        count(*) as rows,
        count_if(is_late) as late_rows,
        max(event_at) as newest_event_at,
        max(published_at) as newest_published_at
    from silver
    group by coalesce(tenant_id, ''), contract, cast(date_trunc('month', published_at) as date)

)

select * from final
