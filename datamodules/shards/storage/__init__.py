"""Shards and features that lie in an object store, read through a bounded cache on the local disk."""
