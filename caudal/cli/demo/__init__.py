"""`caudal demo`: the whole road on real input, in one command.

prepare   contracts, shops, tokens, simulated history and the model, once per data folder
verb      the command: starts the platform, plays input, shows the live table, releases version 2, ends
progress  what has arrived so far, from the metrics that every process writes
facts     what lies in the lake at the end, for the closing report
breaks    `--break`: a fault, its detection and its recovery
"""
