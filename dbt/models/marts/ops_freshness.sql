-- How far each contract is, for operators. Ages are the reader's to work out: the mart holds instants, so that it stays
-- true while time passes.
{{ config(materialized='table') }}

with

contracts as (

    select * from {{ source('pinned', '_tables') }}

),

rows_held as (

    select
        contract,
        sum(rows) as rows,
        max(newest_event_at) as newest_event_at,
        max(newest_published_at) as newest_published_at
    from {{ ref('ops_rows_monthly') }}
    group by contract

),

commits as (

    select
        contract,
        max(committed_at) as newest_commit_at
    from {{ source('pinned', 'ops_ledger') }}
    group by contract

),

final as (

    select
        contracts.contract,
        contracts.table_name,
        coalesce(rows_held.rows, 0) as rows,
        contracts.files,
        contracts.bytes,
        contracts.promised_s,
        rows_held.newest_event_at,
        rows_held.newest_published_at,
        commits.newest_commit_at
    from contracts
    left join rows_held on contracts.contract = rows_held.contract
    left join commits on contracts.contract = commits.contract

)

select * from final
