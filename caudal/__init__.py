"""Caudal's kernel: what two stages already need, and nothing that knows a stage.

settings, errors, log, clock: what a process is told and how it speaks.
outgoing, alerts, metrics, proof, fault: how it calls out, calls for help, reports and is tested.
lake, query, spark, lease, tokens, web: the things it stands on.
"""

__version__ = "0.1.0"
