{{
    config(
        unique_key=['tenant_id', 'decided_date', 'model_version', 'outcome', 'reason'],
        clustered_by=['tenant_id'],
    )
}}

with

decisions as (

    select
        tenant_id,
        model_version,
        outcome,
        amount,
        reasons,
        _published_at,
        _version,
        cast(decided_for as date) as decided_date
    from {{ ref('stg_fraud_decision') }}

),

{% if is_incremental() %}
touched as (

    select distinct
        tenant_id,
        decided_date
    from decisions
    {{ where_changed('fraud_decision') }}

),
{% endif %}

-- A decision with two reasons counts for each; one without any has the reason `none`.
final as (

    select
        decisions.tenant_id,
        decisions.decided_date,
        decisions.model_version,
        decisions.outcome,
        coalesce(given.reason, 'none') as reason,
        count(*) as decisions,
        cast(sum(decisions.amount) as decimal(28, 2)) as amount,
        max(decisions._published_at) as published_at
    from decisions
    {% if is_incremental() %}
    left semi join touched
        on decisions.tenant_id = touched.tenant_id
        and decisions.decided_date = touched.decided_date
    {% endif %}
    lateral view outer explode(decisions.reasons) given as reason
    group by
        decisions.tenant_id, decisions.decided_date, decisions.model_version, decisions.outcome,
        coalesce(given.reason, 'none')

)

select * from final
