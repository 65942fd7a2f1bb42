{{ config(unique_key=['tenant_id', 'account_id'], meta={'delete_when': 'is_gone'}) }}

with

accounts as (

    select * from {{ ref('stg_payments_account') }}
    {{ where_changed('payments_account') }}

),

final as (

    select
        -- identity
        accounts.tenant_id,
        accounts.account_id,
        accounts.subject_ref as holder_ref,

        -- state
        accounts.status,

        -- money
        accounts.balance,
        accounts.credit_limit,
        cast(accounts.balance + coalesce(accounts.credit_limit, 0) as decimal(18, 2)) as available,
        cast(greatest(-accounts.balance, 0) as decimal(18, 2)) as limit_used,
        -accounts.balance > coalesce(accounts.credit_limit, 0) as is_over_limit,

        -- when
        accounts.opened_at,
        accounts.updated_at,
        accounts._published_at as published_at

        {%- if is_incremental() %},
        accounts._deleted_at is not null as is_gone
        {%- endif %}
    from accounts
    {% if not is_incremental() %}where accounts._deleted_at is null{% endif %}

)

select * from final
