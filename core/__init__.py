"""Foundations of all packages: errors, the registry, fields of settings, suggestions, digests, durable writes.

Nothing here knows recordings, encoders or experiments, and nothing here imports torch.
"""
