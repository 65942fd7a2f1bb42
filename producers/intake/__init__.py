"""Events over HTTP, for producers that cannot use Python or sit on another host. The steps of a request, in order:

auth (whose token, which contracts) → body (size, JSON, tenant) → group (concurrent requests share one commit: validate,
seal, send) → answer, once Kafka has acknowledged. Webhook receivers mount beside it.
"""
