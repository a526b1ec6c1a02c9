"""The cache of frame features: what a frozen video encoder made of every clip, computed once."""
