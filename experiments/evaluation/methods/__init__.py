"""Methods that the evaluation compares. A new method is a function in a file of this package."""

from experiments.evaluation.methods.registry import CellData, Fit, Method, Predict, Scores, find_method, method, methods

__all__ = ["CellData", "Fit", "Method", "Predict", "Scores", "find_method", "method", "methods"]
