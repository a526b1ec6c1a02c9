"""What pages and tables of all reports share; it imports no room of a report, and nothing that draws or trains."""
