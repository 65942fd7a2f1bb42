-- Bins are the same for all features and all time, a quarter of a doubling wide, so that days add up without a second look.
{{ config(unique_key=['tenant_id', 'decided_date', 'feature', 'bin'], clustered_by=['tenant_id']) }}

with

decisions as (

    select
        tenant_id,
        features,
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

logged as (

    select
        decisions.tenant_id,
        decisions.decided_date,
        decisions._published_at,
        logged.feature,
        logged.value
    from decisions
    {% if is_incremental() %}
    left semi join touched
        on decisions.tenant_id = touched.tenant_id
        and decisions.decided_date = touched.decided_date
    {% endif %}
    lateral view explode(decisions.features) logged as feature, value
    where not isnan(logged.value)

),

final as (

    select
        tenant_id,
        decided_date,
        feature,
        cast(signum(value) * floor(4 * log2(1 + abs(value))) as int) as bin,
        count(*) as decisions,
        max(_published_at) as published_at
    from logged
    group by tenant_id, decided_date, feature, cast(signum(value) * floor(4 * log2(1 + abs(value))) as int)

)

select * from final
