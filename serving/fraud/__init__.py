"""From a payment to a decision that can be decided again.

Steps, in order:

1. `records`: Kafka bytes to payments, labels and accounts, judged as silver judges them;
2. `decide`: features, rules and model to an outcome with reasons; pure;
3. `scorer`: the loop on Kafka: write states, fold, decide, store first, publish, commit;
4. `api`: `POST /v1/score` and `POST /v1/features`;
5. `replay`: a decision from silver once more.

Beside the road: `offline` (the same features in columns), `train`, `model`, `rules`.
"""
