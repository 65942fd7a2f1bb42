"""Streaming: from Kafka's bytes to silver rows, with a ledger that accounts for every record.

One query, one driver, and for each micro-batch these steps in this order:

1. `read`        Kafka as raw-shaped rows, read committed, from raw's own end offsets
2. `survey`      the batch persisted once; offsets and schema ids counted
3. `writers`     schema ids to writer schemas; unseen ones go to `raw.schemas`
4. `raw`         all records appended, bytes as they came
5. `decode`      native Avro by schema id, proved complete by a sentinel
6. `check`       masks, times and row rules as one expression: fine, or a code
7. `suppress`    masks of erased people emptied
8. `append`, `upsert`   which record is applied, a duplicate, superseded or a conflict
9. `quarantine`  dead letters, only when there are some
10. `commit`     silver, with the ledger's facts inside the commit
11. `ledger`     the facts as a table, flushed every few seconds
12. `care`       between batches: `tally` counts what commits say, `needs` decides, `trim` cuts logs

`batches` keeps one `worker` for each contract, `silver` and `ids` tell what its table holds, `slices` runs steps 5 to
10 for one of them, also for raw batches that it missed, `positions` finds out where everything stands, `query` starts
the stream, `sizes` bounds the next batch, `watch` tells lag and freshness, `commands` answers the command log, `verify`
proves from outside that nothing was lost or doubled.
"""
