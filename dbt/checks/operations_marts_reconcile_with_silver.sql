-- All rows of silver are somebody's, the tenants' shares of room and reading make the whole again, and every contract that
-- a mart names is known.
{{ config(tags=['full']) }}

with

silver as (

    select
        contract,
        count(*) as rows
    from {{ source('pinned', '_silver') }}
    group by contract

),

ledger as (

    select
        contract,
        sum(read) as records_read
    from {{ source('pinned', 'ops_ledger') }}
    group by contract

),

costs as (

    select
        contract,
        sum(rows) as rows,
        sum(bytes) as bytes,
        sum(records_read) as records_read
    from {{ ref('ops_costs_monthly') }}
    group by contract

),

freshness as (

    select * from {{ ref('ops_freshness') }}

)

select coalesce(freshness.contract, costs.contract) as contract
from freshness
full outer join costs on freshness.contract = costs.contract
left join silver on coalesce(freshness.contract, costs.contract) = silver.contract
left join ledger on coalesce(freshness.contract, costs.contract) = ledger.contract
where
    freshness.contract is null
    or not freshness.rows <=> coalesce(silver.rows, 0)
    or coalesce(costs.rows, 0) <> coalesce(silver.rows, 0)
    or (costs.rows > 0 and abs(costs.bytes - freshness.bytes) > 1)
    or abs(coalesce(costs.records_read, 0) - coalesce(ledger.records_read, 0)) > 1
