"""Artifacts of an experiment, opened or built: shards, the video encoder, its features; local or in a store."""
