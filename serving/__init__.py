"""What reads the road's end and what decides beside it.

Steps, in order:

1. `features`: keep one packed state per entity in Redis, fold windows from it, prove it equal to silver;
2. `fraud`: score each transaction with rules and a model, publish the decision as an event, replay it;
3. `api`: published gold over HTTP, one manifest per request;
4. `dashboard`: the live page;
5. `warehouse`: published gold in PostgreSQL, for BI tools.
"""
