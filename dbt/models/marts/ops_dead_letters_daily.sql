-- Dead letters by what they have in common, and what became of them.
{{ config(materialized='table') }}

with

letters as (

    select * from {{ source('pinned', 'quarantine_dead_letters') }}

),

-- A replay that was undone is a second resolution that takes the first back.
healed as (

    select
        topic,
        partition,
        offset,
        _batch
    from {{ source('pinned', 'quarantine_resolutions') }}
    group by topic, partition, offset, _batch
    having sum(if(resolution = 'replayed', 1, -1)) > 0

),

purges as (

    select distinct
        topic,
        partition,
        _batch,
        first,
        last
    from {{ source('pinned', 'ops_purges') }}

),

purged as (

    select distinct
        letters.topic,
        letters.partition,
        letters.offset,
        letters._batch
    from letters
    inner join purges
        on letters.topic = purges.topic
        and letters.partition = purges.partition
        and letters._batch = purges._batch
        and letters.offset between purges.first and purges.last

),

final as (

    select
        coalesce(letters.contract, '') as contract,
        coalesce(letters.code, '') as code,
        coalesce(letters.path, '') as path,
        cast(letters.at as date) as dead_date,
        count(*) as letters,
        count_if(healed.topic is not null) as healed,
        count_if(healed.topic is null and purged.topic is not null) as purged,
        count_if(healed.topic is null and purged.topic is null) as open,
        max(letters.at) as newest_at
    from letters
    left join healed
        on letters.topic = healed.topic
        and letters.partition = healed.partition
        and letters.offset = healed.offset
        and letters._batch = healed._batch
    left join purged
        on letters.topic = purged.topic
        and letters.partition = purged.partition
        and letters.offset = purged.offset
        and letters._batch = purged._batch
    group by
        coalesce(letters.contract, ''), coalesce(letters.code, ''), coalesce(letters.path, ''), cast(letters.at as date)

)

select * from final
