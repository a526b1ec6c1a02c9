"""Windows: settings, cutting, checks of recordings, quality rules."""
