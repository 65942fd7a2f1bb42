"""Where data comes from and what it is: OpenLineage events and the catalogue, read from what the stages leave behind.

1. `project`    the dbt project as SQL, `columns` which columns a SELECT makes of which
2. `assemble`   the `graph`: contracts, tables, models and exposures, column by column
3. `runs`       what ran: cycles by their records, streaming's commits by the ledger
4. `events`     runs as OpenLineage events
5. `follow`     new runs, again and again, written beside the data and sent on (`send`)
6. `catalogue`  every table with its columns, versions, checks and neighbours; `pages` and `draw` show it
7. `glue`       silver and gold in AWS Glue

No stage imports this one, none waits for it, and nothing is written on its behalf while data is made.
"""
