"""Where events come from. The steps of one record, in order:

validate (does it fit its contract) → seal (privacy) → encode (Avro behind its registry id) → deliver (Kafka's
acknowledgement). `publish.Publisher` does all four; `intake` is the same over HTTP; one module per kind of source
builds on it; `rejected` keeps what was refused at the door, sealed.
"""
