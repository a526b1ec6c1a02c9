"""Reports for people: of an evaluation, of a build, of a manifest."""
