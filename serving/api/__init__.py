"""Published gold over HTTP, one tenant at a time, and the state of the install for its operator.

The steps of a request, in order:

1. `admit`   token → principal (role, tenant), at the rate its token may have;
2. `gold`    the manifest, loaded once, and the table at exactly the published version;
3. `scope`   the only relation a query can name holds the rows of the principal's tenant and nothing else;
4. `query`   columns, filters and order from an allow-list become one SELECT;
5. `answer`  rows as JSON with table, version, age and a signed cursor for the next page.

Beside them: `status` (what the operator sees), `health` (each dependency with its milliseconds), `exposition`
(Prometheus text), and `verify` (invariant 6: nothing of one tenant is reachable with another's token).
"""
