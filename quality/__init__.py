"""Checks as data, and the gate that runs them.

Steps, in order: read the marts' YAML (`marts`) → compile checks from contracts and marts (`suites`) → run them as Great
Expectations checkpoints on the versions that are to be published (`gate`) → keep the results, counts only (`results`).
"""
