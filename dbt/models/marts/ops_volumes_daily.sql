-- What became of the records that were read, by the day of the commit. A restore takes lines back, and the sums with them.
{{ config(materialized='table') }}

with

ledger as (

    select * from {{ source('pinned', 'ops_ledger') }}

),

final as (

    select
        contract,
        cast(committed_at as date) as committed_date,
        sum(read) as read,
        sum(applied) as applied,
        sum(duplicate) as duplicate,
        sum(superseded) as superseded,
        sum(dead_letter) as dead_letter,
        sum(parked) as parked,
        sum(late) as late,
        sum(suppressed) as suppressed,
        sum(coalesce(expired, 0)) as expired
    from ledger
    group by contract, cast(committed_at as date)

)

select * from final
