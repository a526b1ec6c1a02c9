"""Figures that the paper prints: Cheshmi et al. 2025, Tables 3 to 5, to stand beside ours.

Values are balanced accuracy in %, or the mean reciprocal rank.
"""

from __future__ import annotations

SHOTS = (10, 20, 50, 100)  # labelled windows per class
TO_MMEA, TO_PD, WITHIN_MMEA = "Ego4D to MMEA", "Ego4D to PD", "MMEA to MMEA"
ACCURACY, MRR = "balanced accuracy, %", "MRR"
OWN = "paper"  # the paper's own system

# Our name of a system -> the paper's words for it.
SYSTEMS = {
    "imu_only": "IMU only",
    "imu2clip": "IMU2CLIP",
    "ablation_softmax": "softmax loss",
    "ablation_cnn_rnn": "CNN + RNN encoder",
    "ablation_one_frame": "single-frame CLIP ViT",
    OWN: "the paper's",
}
ALIASES = {"paper_joint": OWN}

# (system, method, target) -> values by SHOTS.
TABLE_3 = {
    ("imu_only", "linear_probe", TO_MMEA): (59.4, 72.8, 79.7, 80.2),
    ("imu_only", "linear_probe", TO_PD): (54.4, 56.4, 58.4, 60.2),
    ("imu2clip", "linear_probe", TO_MMEA): (29.2, 30.8, 36.8, 39.4),
    ("imu2clip", "linear_probe", TO_PD): (28.0, 32.1, 36.7, 38.3),
    (OWN, "linear_probe", TO_MMEA): (91.6, 92.3, 97.1, 97.8),
    (OWN, "linear_probe", TO_PD): (67.4, 70.3, 71.6, 78.3),
    (OWN, "finetune_paper", TO_MMEA): (90.3, 92.8, 97.5, 97.8),
    (OWN, "finetune_paper", TO_PD): (68.5, 70.4, 75.2, 78.9),
}

# (target, metric) -> values by system.
TABLE_4 = {
    (TO_PD, ACCURACY): {"imu2clip": 19.5, OWN: 24.1},
    (TO_PD, MRR): {OWN: 0.535},
    (TO_MMEA, ACCURACY): {"imu2clip": 20.6, OWN: 32.9},
    (TO_MMEA, MRR): {OWN: 0.549},
    (WITHIN_MMEA, ACCURACY): {"imu2clip": 22.1, OWN: 33.9},
    (WITHIN_MMEA, MRR): {OWN: 0.563},
}

# System -> values by target.
TABLE_5 = {
    "imu2clip": {TO_MMEA: 39.4, TO_PD: 38.3},
    "ablation_softmax": {TO_MMEA: 90.9, TO_PD: 73.0},
    "ablation_cnn_rnn": {TO_MMEA: 72.3, TO_PD: 65.6},
    "ablation_one_frame": {TO_MMEA: 57.1, TO_PD: 54.2},
    OWN: {TO_MMEA: 97.8, TO_PD: 78.3},
}
