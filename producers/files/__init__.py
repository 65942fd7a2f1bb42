"""Files as a source: JSON lines or CSV from a folder or a bucket, mapped by a YAML file into any contract.

1. `errors`: what is wrong with a mapping
2. `mapping`: the YAML file → a function from row to event
3. `read`: files → batches of records with a cursor, for `producers.connector.Puller`
"""
