"""HDF5 shards of windows: layout, index, writer, readers and verification."""
