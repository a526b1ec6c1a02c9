"""A new method to compare: put this file into experiments/evaluation/methods/, and name it in `evaluation.methods`.

A method gets labelled windows and gives back a function from other windows to probabilities. It never sees the labels
of tested windows. `data.features` has features of all windows: pretrained, random, handcrafted.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.registry import CellData, Indices, Predict, Scores, method


@method("handcrafted_logistic_example", needs_labels=True)
def handcrafted_logistic_example(data: CellData) -> Predict:
    """Logistic regression on handcrafted features, standardised over the labelled windows."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=2000))
    model.fit(data.features.handcrafted[data.support], data.support_labels)

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        scores = np.zeros((len(windows), len(data.classes)))
        scores[:, model.classes_] = model.predict_proba(features.handcrafted[windows])
        return scores

    return predict
