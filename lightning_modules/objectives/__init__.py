"""What pretraining minimises: a weighted sum of objectives, each in its own file, chosen by settings alone."""

from lightning_modules.objectives.build import build_objectives
from lightning_modules.objectives.step import Objective, Step

__all__ = ["Objective", "Step", "build_objectives"]
