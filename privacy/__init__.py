"""Personal data: sealed before Kafka, masked everywhere after it, readable only through the vault.

The steps of sealing, in order: normalise (one spelling per identifier) → vault (identifier to random ref, keys) →
keys (who wraps the keys) → masks (what people may see) → seal (mask and token per field). Around it: reveal (open a
token), erased (refs that must never show again), scan (proof that nothing personal lies in clear).
"""
