"""Labels: columns of names, and the names of activities that all data sets share."""
