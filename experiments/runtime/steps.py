"""Commands as steps of a longer one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from experiments.runtime.errors import UserError
from experiments.runtime.stopping import GRACE_S, Interrupted, allow, of_exit_code

_LONGER_S = 5.0  # than the step has, which ends by itself


def exit_code(module: str, experiment: str, settings: Sequence[str]) -> int:
    """Run a command in a process of its own: trainings may start processes themselves, and leave no state behind.

    A signal is handed on, and the step then has the time to save.

    Args:
        module: the command, e.g. ``experiments.pretrain``.
        experiment: name or file of the experiment.
        settings: ``key=value`` each.

    Raises:
        Interrupted: a signal stopped it, or this process.
    """
    process = subprocess.Popen([sys.executable, "-m", module, experiment, *settings])
    try:
        code = process.wait()
    except Interrupted as stopped:
        allow(GRACE_S + _LONGER_S)
        process.send_signal(stopped.signal)  # a terminal has told it too: it does not mind
        try:
            process.wait(GRACE_S + _LONGER_S - 1)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
    except BaseException:
        process.kill()
        raise
    if number := of_exit_code(code):
        raise Interrupted(number=number)
    return code


def run_step(module: str, experiment: str, settings: Sequence[str]) -> None:
    """Run a command as :func:`exit_code` does.

    Raises:
        UserError: it failed; its own message is above.
        Interrupted: a signal stopped it, or this process.
    """
    if code := exit_code(module, experiment, settings):
        raise UserError(f"stopped: python -m {module} {experiment} {' '.join(settings)}: exit code {code}")
