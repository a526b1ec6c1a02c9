"""Connection to a Dask cluster, and the versions that its workers are compared by."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

CONNECT_S = 30.0
FIRST_WORKER_S = 60.0
ROOT = Path(__file__).parents[2]


@cache
def software(packages: tuple[str, ...], libraries: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of all software that a result depends on, by name.

    Args:
        packages: packages of this project, e.g. "datamodules"; a digest of their code is part of the version.
        libraries: distributions, e.g. "numpy".
    """
    digest = hashlib.sha256()
    for package in packages:
        for file in sorted((ROOT / package).rglob("*.py"), key=lambda path: path.relative_to(ROOT).as_posix()):
            digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    own = f"{version('imu-video-har')} (code {digest.hexdigest()[:12]})"
    return {"imu-video-har": own, "Python": python, **{name: version(name) for name in libraries}}


def other_versions(expected: dict[str, str], found: dict[str, str]) -> str:
    """Say which versions differ on a worker, or "" if none does."""
    different = [f"{name} {found.get(name)} (here {expected[name]})" for name in expected
                 if found.get(name) != expected[name]]  # fmt: skip
    return f"other versions: {', '.join(different)}; install the same ones on every worker" if different else ""


def connect(address: str, setting: str, error: type[Exception]) -> tuple[Any, Any]:
    """Connect to a Dask scheduler; returns the package ``distributed`` and a client.

    Args:
        address: ``tcp://host:port``.
        setting: name of the setting that has the address, for messages.
        error: raised with a message for the user if Dask is not installed or no scheduler answers.
    """
    try:
        import distributed
    except ImportError as missing:
        raise error(
            f"{setting} is '{address}', but Dask is not installed; "
            "pip install 'imu-video-har[dask]' does that, here and on every worker"
        ) from missing
    try:
        client: Any = distributed.Client
        return distributed, client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as refused:  # ValueError: not an address
        raise error(f"{setting}: no Dask scheduler answers at {address}: {refused}") from refused


def wait_for_a_worker(distributed: Any, client: Any, address: str, setting: str, error: type[Exception]) -> list[str]:
    """Wait until a worker has joined; returns the addresses of all of them."""
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_S)
    except distributed.TimeoutError as late:
        raise error(
            f"{setting}: no worker has joined {address} within {FIRST_WORKER_S:.0f} s; start some "
            f"with dask worker {address} --nthreads 1 --nworkers auto"
        ) from late
    return list(client.nthreads())
