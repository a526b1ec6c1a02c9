"""The HDF5 format: layout, writer, reader, verify, and the cache of video features."""
