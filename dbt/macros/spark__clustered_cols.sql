{#-
    `clustered_by` without buckets asks for Delta's liquid clustering: compaction lays rows of the same values together,
    so that a query for one of them reads few files. The adapter only knows Hive's buckets.
-#}
{% macro spark__clustered_cols(label, required=false) -%}
    {%- set columns = config.get('clustered_by') -%}
    {%- if columns -%}
    cluster by ({{ ([columns] if columns is string else columns) | join(', ') }})
    {%- endif -%}
{%- endmacro %}
