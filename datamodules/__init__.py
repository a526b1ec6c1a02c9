"""Data: raw recordings, synchronised windows, HDF5 shards, batches."""
