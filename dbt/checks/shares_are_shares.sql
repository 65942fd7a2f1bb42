-- A share lies between nothing and the whole, and a part is not larger than what it is a part of.
{{ config(tags=['full']) }}

with

shares as (

    select 'stickiness' as what, stickiness as share from {{ ref('product_active_users_daily') }}
    union all
    select 'daily of weekly', daily_users / weekly_users from {{ ref('product_active_users_daily') }}
    union all
    select 'weekly of monthly', weekly_users / monthly_users from {{ ref('product_active_users_daily') }}
    union all
    select 'retention', retention from {{ ref('product_retention_weekly') }}
    union all
    select 'conversion', conversion from {{ ref('product_funnels_daily') }}
    union all
    select 'precision', precision from {{ ref('fraud_performance_daily') }}
    union all
    select 'recall', recall from {{ ref('fraud_performance_daily') }}
    union all
    select 'card precision', card_precision_100 from {{ ref('fraud_performance_daily') }}
    union all
    select 'labelled', labelled / decisions from {{ ref('fraud_performance_daily') }}
    union all
    select 'score', score from {{ ref('fct_fraud_outcomes') }}

)

select what
from shares
where share < 0 or share > 1
