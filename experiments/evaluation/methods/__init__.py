"""Methods that the evaluation compares. A new one is a function in a file here."""

from experiments.evaluation.methods.registry import CellData, Method, Predict, Scores, find_method, method, methods

__all__ = ["CellData", "Method", "Predict", "Scores", "find_method", "method", "methods"]
