{#- Schemas are called as they are written: there is one target, and its catalogue lives in memory. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
