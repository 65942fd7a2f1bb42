-- Accounts of which an increment works out all versions again: a change that came late moves when its neighbours held,
-- and those keep the silver version they had. A truncate may end any account of its bank.
{{ config(materialized='ephemeral') }}

with

history as (

    select * from {{ ref('stg_payments_account_history') }}

),

changed as (

    select
        tenant_id,
        account_id,
        _op
    from history
    where _version > {{ previous_pin('payments_account_history') }}

),

truncated as (

    select distinct tenant_id from changed
    where _op = 't'

),

final as (

    select
        tenant_id,
        account_id
    from changed

    union

    select
        history.tenant_id,
        history.account_id
    from history
    left semi join truncated on history.tenant_id = truncated.tenant_id

)

select * from final
