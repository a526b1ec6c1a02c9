"""Rules that find what is wrong with a window, and the facts about a recording that the build's report shows."""
