"""Feature cache: the features of every clip from a frozen video encoder, computed once."""
