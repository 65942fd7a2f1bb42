{#-
    MERGE with what the marts need. Keys compare null-safe.
    meta.delete_when   a column of the increment (not of the table): rows for which it is true leave the mart
    meta.insert_only   events never change once they are in silver, so what is there stays; Delta then needs one pass
-#}
{% macro spark__get_merge_sql(target, source, unique_key, dest_columns, incremental_predicates) -%}
    {%- set keys = [unique_key] if unique_key is string else unique_key -%}
    {%- set meta = config.get('meta', {}) -%}
    {%- set gone = meta.get('delete_when') -%}
    {%- set columns = adapter.get_columns_in_relation(target) | map(attribute='column') | list -%}
    merge into {{ target }} as gold
    using {{ source }} as increment
    on {% for key in keys %}gold.{{ key }} <=> increment.{{ key }}{{ ' and ' if not loop.last }}{% endfor %}
    {% if gone %}when matched and increment.{{ gone }} then delete{% endif %}
    {% if not meta.get('insert_only') %}
    when matched then update set
        {% for column in columns %}{{ column }} = increment.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
    {% endif %}
    when not matched {% if gone %}and not increment.{{ gone }}{% endif %} then insert
        ({{ columns | join(', ') }})
        values ({% for column in columns %}increment.{{ column }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}
