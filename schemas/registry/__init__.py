"""The schema registry: a client for any Confluent-compatible registry, and our own embedded server."""
