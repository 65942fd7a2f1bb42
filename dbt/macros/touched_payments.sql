{#-
    Payments about which anything became known since the last published version: a decision, a label, or the payment's own
    row (which tells the card). One query; each of the three tables is read from its new files only.
-#}
{% macro touched_payments() -%}
    select
        tenant_id,
        transaction_event_id
    from {{ ref('stg_fraud_decision') }}
    {{ where_changed('fraud_decision') }}
    union
    select
        tenant_id,
        transaction_event_id
    from {{ ref('stg_fraud_label') }}
    {{ where_changed('fraud_label') }}
    union
    select
        tenant_id,
        event_id as transaction_event_id
    from {{ ref('stg_payments_transaction') }}
    {{ where_changed('payments_transaction') }}
{%- endmacro %}
