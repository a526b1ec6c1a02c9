"""Commands as steps of a longer one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from experiments.runtime.errors import UserError


def exit_code(module: str, experiment: str, settings: Sequence[str]) -> int:
    """Run a command in a process of its own: trainings may start processes themselves, and leave no state behind.

    Args:
        module: the command, e.g. ``experiments.pretrain``.
        experiment: name or file of the experiment.
        settings: ``key=value`` each.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    code = subprocess.run([sys.executable, "-m", module, experiment, *settings], check=False).returncode
    if code in (-2, 130):
        raise KeyboardInterrupt
    return code


def run_step(module: str, experiment: str, settings: Sequence[str]) -> None:
    """Run a command as :func:`exit_code` does.

    Raises:
        UserError: it failed; its own message is above.
        KeyboardInterrupt: it was interrupted.
    """
    if code := exit_code(module, experiment, settings):
        raise UserError(f"stopped: python -m {module} {experiment} {' '.join(settings)}: exit code {code}")
