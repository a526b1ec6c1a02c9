"""Reading and storing of files: rows, batches, buffers, remote stores, local caches. Nothing here knows a window."""
