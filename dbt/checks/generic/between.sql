{#- Every value lies inside the bounds; nulls pass. With a share, so many of the rows must. -#}
{% test between(model, column_name, min_value=none, max_value=none, share=1) %}
    select count(*) as checked
    from {{ model }}
    having
        count_if(
            false
            {%- if min_value is not none %} or {{ column_name }} < {{ min_value }}{% endif %}
            {%- if max_value is not none %} or {{ column_name }} > {{ max_value }}{% endif %}
        ) > (1 - {{ share }}) * count(*)
{% endtest %}
