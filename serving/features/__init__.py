"""State is a set, features are a pure function of it.

Steps, in order:

1. `spec`: read `schemas/features/<name>.yml`;
2. `state`: the packed bytes of an entity, and their rebuild in plain Python, which is the reference;
3. `store`: insert by one Redis Function (`function.lua`), idempotent in any order; labels and tombstones beside it;
4. `fold`: bytes and an instant to numbers;
5. `rebuild`: the same bytes from silver;
6. `verify`: both are equal, entity by entity.
"""
