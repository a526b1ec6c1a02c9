"""Adaptations of methods to the tested person. A new adaptation is a function in a file of this package."""

from experiments.evaluation.adaptation.registry import Adaptation, adaptation, adaptations, find_contender

__all__ = ["Adaptation", "adaptation", "adaptations", "find_contender"]
