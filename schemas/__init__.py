"""Contracts: what an event is, written once; everything else follows from it.

Steps, in order:
    load       contract.yml and v<N>.avsc become a `Contract`, or an error that names file, line and what to write
    wire       the schema that travels: personal fields sealed, refs and origin added
    lint       what a contract may not do, and what looks wrong
    compare    Avro compatibility of reader and writer; the seven registry levels
    rules      row rules: one small grammar, compiled to Spark SQL and to Python
    tables     names, columns and DDL of the lake's tables
    evolution  columns to add when a contract got a new version
    apply      register the wire schema, create the topic, distribute the contract
    distribution  the compacted topic through which running stages learn of contracts
    watch      applies changes of the contracts folder while the stack runs
    manifest   which versions of the gold tables are published
"""
