"""From a payment to a decision that can be decided again.

Steps, in order:

1. `scorer`: the loop on Kafka; `merge`: its partitions in one order;
2. `engine`: write states, fold, decide, keep the first decision;
3. `decide`: features, rules and model to an outcome with reasons; pure;
4. `api`: `POST /v1/score` and `POST /v1/features`;
5. `replay`: a decision from silver once more.

Beside the road: `offline` (the same features in columns), `train`, `model`, `rules`.
"""
