"""Transfer: knowledge about activities from labelled data sets of other laboratories."""
