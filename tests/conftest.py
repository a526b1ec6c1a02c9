"""Puts this folder on the path, so that tests find ``real_data`` and other helpers beside it."""
