"""Published gold over HTTP, one tenant at a time, and the state of the install for its operator.

The steps of a request, in order:

1. `admit`   token (`oidc`: of a provider) → principal, at the rates (`rates`) and quota (`usage`) it may have;
2. `ask`     parameters or body → what is asked;
3. `gold`    the manifest, loaded once, and the table at exactly the published version;
4. `query`   columns, filters, groups and order from an allow-list become one SELECT;
5. `scope`   the only relation a query can name holds the rows of the principal's tenant and nothing else;
6. `answer`  rows as JSON, CSV, Parquet or Arrow; `pages` adds table, version, age and a signed `cursor`.

Beside them: `stream` (changes as they are published), `status` (what the operator sees), `health` (each dependency
with its milliseconds), `exposition` (Prometheus text), `openapi` (the description), and `verify` (invariant 6: nothing
of one tenant is reachable with another's token).
"""
