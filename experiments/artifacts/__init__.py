"""Artifacts of an experiment: shards, the video encoder and its features, opened locally or in a store, or built."""
