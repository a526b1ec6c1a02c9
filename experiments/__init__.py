"""What is run: command-line programs and the settings they take."""

import os

# Threads that wait must sleep, not spin: with two cores and a reading thread, spinning slows a step several-fold.
# OpenMP reads this once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
