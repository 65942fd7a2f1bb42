{#- No value lies above the bound; nulls pass. -#}
{% test at_most(model, column_name, value) %}
    select {{ column_name }}
    from {{ model }}
    where {{ column_name }} > {{ value }}
{% endtest %}
