"""Building of shards from recordings: parallel and resumable, on one machine or many."""
