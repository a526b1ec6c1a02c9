"""Sources of recordings: one :class:`datamodules.sources.registry.Source` per raw format."""
