-- Daily, monthly and account figures are exactly silver's: by bank, the number and the sum to the cent.
-- Silver's rows count up, gold's count down, so that one pass over each table and one grouping is all.
{{ config(tags=['full']) }}

with

payments as (

    select * from {{ ref('stg_payments_transaction') }}

),

accounts as (

    select * from {{ ref('stg_payments_account') }}
    where _deleted_at is null

),

-- What holds now is taken from the history too: it may be a batch ahead of the accounts.
history as (

    select * from {{ ref('stg_payments_account_history') }}

),

counted as (

    select tenant_id, explode(array('payments_daily', 'account_velocity_daily', 'regulatory_monthly')) as mart, 1 as n, amount
    from payments
    union all
    select tenant_id, 'payments_daily' as mart, -transactions as n, -amount as amount
    from {{ ref('payments_daily') }}
    union all
    select tenant_id, 'account_velocity_daily' as mart, -transactions as n, -amount as amount
    from {{ ref('account_velocity_daily') }}
    union all
    select tenant_id, 'regulatory_monthly' as mart, -transactions as n, -amount as amount
    from {{ ref('regulatory_monthly') }}

    union all
    select tenant_id, 'dim_accounts' as mart, 1 as n, balance as amount
    from accounts
    union all
    select tenant_id, 'dim_accounts' as mart, -1 as n, -balance as amount
    from {{ ref('dim_accounts') }}

    union all
    select tenant_id, 'fct_account_changes' as mart, 1 as n, balance as amount
    from history
    union all
    select tenant_id, 'fct_account_changes' as mart, -1 as n, -balance as amount
    from {{ ref('fct_account_changes') }}

    union all
    select tenant_id, explode(array('dim_accounts_history', 'account_balances_daily')) as mart, 1 as n, balance as amount
    from history
    where _current and _op != 't'
    union all
    select tenant_id, 'dim_accounts_history' as mart, -1 as n, -balance as amount
    from {{ ref('dim_accounts_history') }}
    where is_current
    union all
    select tenant_id, 'account_balances_daily' as mart, -1 as n, -closing_balance as amount
    from {{ ref('account_balances_daily') }}
    where held_until_date is null

)

select
    mart,
    tenant_id
from counted
group by mart, tenant_id
having sum(n) != 0 or sum(amount) != 0
