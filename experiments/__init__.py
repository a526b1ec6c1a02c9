"""Experiments: command-line programs and their settings."""

import os

# Waiting threads must sleep, not spin. With two cores and a reading thread, spinning slows a step several times.
# OpenMP reads this variable once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
