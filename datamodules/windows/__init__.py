"""Windows: settings, cutting, checks of recordings and rules of quality."""
