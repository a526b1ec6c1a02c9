"""Building of shards: recordings in, HDF5 files out; parallel, resumable, on one machine or many."""
