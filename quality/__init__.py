"""Checks as data, and the gate that runs them; what they say over time.

Steps, in order: read the marts' YAML (`marts`) → compile checks from contracts and marts (`suites`, `compile_contract`,
`compile_mart`) → run them as Great Expectations checkpoints on the versions that are to be published (`gate`, with
moving bounds from `steady`) → name failing rows (`evidence`) → keep the results (`results`) and the history (`days`).
Beside them: is everybody there (`uptime`), were promises kept (`service`), is the input as usual (`anomalies`), and
pages of it all (`pages`).
"""
