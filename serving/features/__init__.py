"""State is a set, features are a pure function of it.

Steps, in order:

1. `spec`: read `schemas/features/<name>.yml`;
2. `state`: the packed bytes of an entity, and their rebuild in plain Python, which is the reference;
3. `store`: insert by one Redis Function (`function.lua`), idempotent in any order; labels and tombstones beside it;
4. `fold`: bytes and an instant to numbers;
5. `silver`: the same payments, labels and accounts from the lake; `tail`: what Kafka has beyond it;
6. `verify`: store and rebuild are equal, entity by entity.

`records` judges Kafka's bytes as silver does, `facts` is what of a record the store keeps.
"""
