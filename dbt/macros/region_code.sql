{#-
    Where an address is, as one spelling: ISO 3166-2 (`BR-SP`) for Brazil, whether a shop writes the state's name, with or
    without accents, or its letters; elsewhere country and region as they are written, in capitals. Null without a region.
-#}
{% macro region_code(country, region) -%}
    {%- set states = {
        'ACRE': 'AC', 'ALAGOAS': 'AL', 'AMAPA': 'AP', 'AMAZONAS': 'AM', 'BAHIA': 'BA', 'CEARA': 'CE',
        'DISTRITO FEDERAL': 'DF', 'ESPIRITO SANTO': 'ES', 'GOIAS': 'GO', 'MARANHAO': 'MA', 'MATO GROSSO': 'MT',
        'MATO GROSSO DO SUL': 'MS', 'MINAS GERAIS': 'MG', 'PARA': 'PA', 'PARAIBA': 'PB', 'PARANA': 'PR',
        'PERNAMBUCO': 'PE', 'PIAUI': 'PI', 'RIO DE JANEIRO': 'RJ', 'RIO GRANDE DO NORTE': 'RN',
        'RIO GRANDE DO SUL': 'RS', 'RONDONIA': 'RO', 'RORAIMA': 'RR', 'SANTA CATARINA': 'SC', 'SAO PAULO': 'SP',
        'SERGIPE': 'SE', 'TOCANTINS': 'TO',
    } -%}
    {%- set plain = "translate(upper(trim(" ~ region ~ ")), 'ÁÀÂÃÉÊÍÓÔÕÚÇ', 'AAAAEEIOOOUC')" -%}
    case
        when {{ plain }} is null or {{ plain }} = '' then null
        when upper(trim({{ country }})) in ('BR', 'BRA', 'BRASIL', 'BRAZIL') then 'BR-' || case {{ plain }}
            {%- for name, code in states.items() %} when '{{ name }}' then '{{ code }}'{% endfor %} else {{ plain }} end
        else concat_ws('-', upper(nullif(trim({{ country }}), '')), {{ plain }})
    end
{%- endmacro %}
