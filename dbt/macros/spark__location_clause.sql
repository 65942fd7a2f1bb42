{#- Marts lie in the lake at <gold_root>/<mart>, wherever the catalogue's warehouse is. -#}
{% macro spark__location_clause() -%}
    location '{{ var("gold_root") }}/{{ model["alias"] }}'
{%- endmacro %}
