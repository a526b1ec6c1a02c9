"""Means of three unlike classifiers: a logistic regression, extra trees, and one on MiniRocket's random convolutions.

They err on different windows, so that their mean is better than each. MiniRocket needs the extra ``aeon``.
"""

from __future__ import annotations

from experiments.evaluation.methods.aeon_baselines import minirocket_logistic
from experiments.evaluation.methods.handcrafted import handcrafted_logistic, handcrafted_trees
from experiments.evaluation.methods.hybrid import hybrid_logistic
from experiments.evaluation.methods.registry import CellData, Predict, method
from experiments.evaluation.methods.sharing import mean_of
from experiments.evaluation.methods.transfer import transfer_logistic

_SETTINGS = ("evaluation.logistic_c", "evaluation.forest_trees")


@method("rocket_mean", needs_labels=True, settings=_SETTINGS)
def rocket_mean(data: CellData) -> Predict:
    """Average the probabilities of ``handcrafted_logistic``, ``handcrafted_trees`` and ``minirocket_logistic``."""
    return mean_of(handcrafted_logistic(data), handcrafted_trees(data), minirocket_logistic(data))


@method("hybrid_rocket_mean", needs_labels=True, encoder=True, checkpoint=True, settings=_SETTINGS)
def hybrid_rocket_mean(data: CellData) -> Predict:
    """Average the probabilities of ``hybrid_logistic``, ``handcrafted_trees`` and ``minirocket_logistic``."""
    return mean_of(hybrid_logistic(data), handcrafted_trees(data), minirocket_logistic(data))


@method("transfer_rocket_mean", needs_labels=True, sources=True, settings=(*_SETTINGS, "evaluation.transfer"))
def transfer_rocket_mean(data: CellData) -> Predict:
    """Average the probabilities of ``transfer_logistic``, ``handcrafted_trees`` and ``minirocket_logistic``."""
    return mean_of(transfer_logistic(data), handcrafted_trees(data), minirocket_logistic(data))
