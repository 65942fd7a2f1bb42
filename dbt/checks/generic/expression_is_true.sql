{#- The condition is not false in any row. With a share, so many of the rows must pass. -#}
{% test expression_is_true(model, expression, name=none, share=1) %}
    select count(*) as checked
    from {{ model }}
    having count_if(not coalesce({{ expression }}, true)) > (1 - {{ share }}) * count(*)
{% endtest %}
