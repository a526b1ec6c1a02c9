"""The largest memory that a script of a test ever had."""

import sys

import pytest

# Python source that defines peak(), in MB. Not getrusage's ru_maxrss: a process takes that over from the one that
# started it, and a test run has more memory than most scripts ever get, so that nothing would seem to grow.
PEAK = """
def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
"""
needs_peak = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak of memory from /proc")
