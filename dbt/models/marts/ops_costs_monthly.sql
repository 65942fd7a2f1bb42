-- What each tenant's data costs. Reading a month's records is shared out by the rows of that month that silver holds, room
-- by all rows it holds; what nobody's rows stand for (a month of dead letters only) has the tenant ''.
{{ config(materialized='table', clustered_by=['tenant_id']) }}

with

held as (

    select * from {{ ref('ops_rows_monthly') }}

),

tables as (

    select * from {{ source('pinned', '_tables') }}

),

prices as (

    select * from {{ source('pinned', '_prices') }}

),

records as (

    select
        contract,
        cast(date_trunc('month', committed_at) as date) as published_month,
        sum(read) as records_read
    from {{ source('pinned', 'ops_ledger') }}
    group by contract, cast(date_trunc('month', committed_at) as date)

),

shared as (

    select
        coalesce(held.tenant_id, '') as tenant_id,
        coalesce(held.contract, records.contract) as contract,
        coalesce(held.published_month, records.published_month) as published_month,
        coalesce(held.rows, 0) as rows,
        coalesce(held.rows / sum(held.rows) over of_month, 1D) * coalesce(records.records_read, 0) as records_read,
        coalesce(held.rows / sum(held.rows) over of_contract, 0D) as share_of_room
    from held
    full outer join records
        on held.contract = records.contract
        and held.published_month = records.published_month
    window
        of_month as (
            partition by
                coalesce(held.contract, records.contract), coalesce(held.published_month, records.published_month)
        ),
        of_contract as (partition by coalesce(held.contract, records.contract))

),

final as (

    select
        shared.tenant_id,
        shared.contract,
        shared.published_month,
        shared.rows,
        shared.records_read,
        shared.share_of_room * coalesce(tables.bytes, 0) as bytes,
        (select currency from prices) as currency,
        cast(
            shared.records_read / 1000000D * (select per_million_records from prices) as decimal(18, 6)
        ) as processing_cost,
        cast(
            shared.share_of_room * coalesce(tables.bytes, 0) / 1073741824D * (select per_gib_month from prices)
            as decimal(18, 6)
        ) as storage_cost_per_month
    from shared
    left join tables on shared.contract = tables.contract

)

select * from final
