"""Quality rules over windows, and the facts about a recording that the build report shows."""
