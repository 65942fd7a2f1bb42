{{ config(materialized='table') }}

with

verdicts as (

    select * from {{ source('pinned', '_quality') }}

),

final as (

    select
        group_name,
        cycle,
        layer,
        table_name,
        code,
        is_ok,
        severity,
        checked,
        failing,
        detail,
        checked_at
    from verdicts

)

select * from final
