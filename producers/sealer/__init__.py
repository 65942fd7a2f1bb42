"""The sealer: what a foreign producer wrote in clear to `in.<contract>` goes, sealed, to the contract's topic.

1. `move`      consume, prepare, produce and commit the positions, all in one Kafka transaction
2. `foreign`   bytes of a record: JSON, or Avro by its registry id
3. `debezium`  an envelope becomes a change: operation, row, place in the source's log
4. `rows`      a change, or a record as it is, becomes an event of the contract, or a delete
"""
