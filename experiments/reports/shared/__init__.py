"""Parts that pages, tables and figures of all reports share.

This room imports no room of one report, and nothing that trains.
"""
