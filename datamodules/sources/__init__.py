"""One file per raw format, each a :class:`datamodules.sources.registry.Source`."""
