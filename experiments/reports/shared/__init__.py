"""Parts that pages and tables of all reports share.

This room imports no room of one report, and nothing that draws or trains.
"""
