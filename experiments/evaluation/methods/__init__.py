"""What is compared with what; importing this registers every method. A new one is a function in a file here."""

import importlib
import pkgutil

from experiments.evaluation.methods.registry import CellData, Method, Predict, Scores, find_method, method, methods

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["CellData", "Method", "Predict", "Scores", "find_method", "method", "methods"]
