{#-
    MERGE with a delete clause. A mart whose `meta.delete_when` names a column of its increment (not of its table)
    loses the rows for which that column is true. Keys compare null-safe.
-#}
{% macro spark__get_merge_sql(target, source, unique_key, dest_columns, incremental_predicates) -%}
    {%- set keys = [unique_key] if unique_key is string else unique_key -%}
    {%- set gone = config.get('meta', {}).get('delete_when') -%}
    {%- set columns = adapter.get_columns_in_relation(target) | map(attribute='column') | list -%}
    merge into {{ target }} as gold
    using {{ source }} as increment
    on {% for key in keys %}gold.{{ key }} <=> increment.{{ key }}{{ ' and ' if not loop.last }}{% endfor %}
    {% if gone %}when matched and increment.{{ gone }} then delete{% endif %}
    when matched then update set
        {% for column in columns %}{{ column }} = increment.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
    when not matched {% if gone %}and not increment.{{ gone }}{% endif %} then insert
        ({{ columns | join(', ') }})
        values ({% for column in columns %}increment.{{ column }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}
