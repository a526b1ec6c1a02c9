"""Reports for readers: on an evaluation, a build or a manifest; the paper's tables; previews."""
