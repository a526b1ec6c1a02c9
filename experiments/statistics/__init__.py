"""Statistics of an evaluation: results, intervals, comparisons, verdicts, costs."""
