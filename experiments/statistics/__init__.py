"""Statistics of an evaluation: results, intervals, differences, claims, costs."""
