{#- The aggregate lies inside the bounds, when there are enough rows. -#}
{% test measure_between(model, measure, min_value=none, max_value=none, name=none, min_rows=100) %}
    select {{ measure }} as measured
    from {{ model }}
    having
        count(*) >= {{ min_rows }}
        and (
            false
            {%- if min_value is not none %} or {{ measure }} < {{ min_value }}{% endif %}
            {%- if max_value is not none %} or {{ measure }} > {{ max_value }}{% endif %}
        )
{% endtest %}
