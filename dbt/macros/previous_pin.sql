{#-
    The silver version that the published gold of this group was built from: -1 when there is none yet.
    Read from a one-row view at run time and written into the SQL as a number, so that Delta can prune files by it;
    a variable of the command line would make dbt parse the whole project again.
-#}
{% macro previous_pin(table) -%}
    {%- set pins = source('pinned', '_pins') -%}
    {%- if execute -%}
        {%- set found = run_query("select previous_version from " ~ pins ~ " where table_name = '" ~ table ~ "'") -%}
        {{ return(found.columns[0].values()[0] if found | length else -1) }}
    {%- endif -%}
    {{ return(-1) }}
{%- endmacro %}


{#- `where` of an increment: only rows that silver wrote since the last published version; nothing on a full build. -#}
{% macro where_changed(table) -%}
    {%- if is_incremental() %}where _version > {{ previous_pin(table) }}{% endif -%}
{%- endmacro %}
