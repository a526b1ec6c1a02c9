"""Parts that pages and tables of all reports share; this room imports no room of a report, and nothing that draws or trains."""
