{#- The newest time in the column is at most so many seconds old; an empty table passes. -#}
{% test fresh(model, column_name, within_s) %}
    select max({{ column_name }}) as newest
    from {{ model }}
    having unix_timestamp(current_timestamp()) - unix_timestamp(max({{ column_name }})) > {{ within_s }}
{% endtest %}
