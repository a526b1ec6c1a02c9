"""Fuzzing by the million: ``python -m helpers.fuzz.run [--inputs 1000000] [--seed 0]``, from tests/ as a path.

Processes, as many as there are cores, take turns at the parsers: some inputs of one, some of the next, each parser as
often as its weight says. What fails is made smaller and kept in ``--corpus``, where the tests try it again. With
``--atheris``, coverage guides further inputs, where that package is installed. Exit code 1 says that something failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from helpers.fuzz.mutate import mutated, smaller
from helpers.fuzz.parsers import Parser, parsers

LIMIT_S = 10.0  # of a core, for one small file
LIMIT_BYTES = 1 << 30  # that a small file may take, beyond what the process has
CORPUS = Path(__file__).resolve().parents[2] / "faults" / "corpus"
_TURN = 2000  # inputs of all parsers together, before their turns begin again


class TooSlowError(BaseException):
    """A file of a few bytes took too long; no parser may take it for an error in the file."""


@dataclass
class Bench:
    """A parser with a folder, and its valid files."""

    parser: Parser
    folder: Path
    seeds: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, parser: Parser, folder: Path) -> Bench:
        """Make the folder and the valid files, and read these.

        Raises:
            Exception: a valid file is refused.
        """
        folder.mkdir(parents=True)
        bench = cls(parser, folder)
        bench.seeds = parser.seeds(folder)
        for content in bench.seeds:
            (folder / parser.file).write_bytes(content)
            parser.read(folder / parser.file)
        return bench

    def failure(self, content: bytes) -> str:
        """What goes wrong with a file; empty for an answer, or an error of the project's."""
        path = self.folder / self.parser.file
        path.write_bytes(content)
        try:
            with _limited():
                self.parser.read(path)
        except self.parser.errors as error:
            return "" if str(error).strip() else f"{type(error).__name__} without a message"
        except TooSlowError:
            return f"more than {LIMIT_S:g} s"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return _where(error)
        return ""

    def fails_like(self, failure: str, content: bytes) -> bool:
        """Whether a file goes wrong in the same place."""
        return self.failure(content).partition(": ")[0] == failure.partition(": ")[0]


@contextmanager
def _limited() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _too_slow(*_: object) -> None:
    raise TooSlowError


def _where(error: BaseException) -> str:
    """The error, and the project's own line that let it through."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/helpers/" not in f.filename]
    own = [f for f in frames if "site-packages" not in f.filename and "/lib/python" not in f.filename]
    place = f"{Path(own[-1].filename).name}:{own[-1].name}" if own else ""
    return f"{type(error).__name__} in {place}: {str(error)[:160]}"


def prepare_process(memory: int = LIMIT_BYTES) -> None:
    """Bound time and memory of this process's parsers."""
    signal.signal(signal.SIGPROF, _too_slow)
    if memory:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, resource.RLIM_INFINITY))


def fuzz(benches: Sequence[Bench], inputs: int, seed: int, report: Path) -> None:
    """Try mutated files; writes counts, failures and the seconds of each parser as JSON lines."""
    rng = random.Random(seed)
    tried, seconds = Counter[str](), {bench.parser.name: 0.0 for bench in benches}
    seen: set[str] = set()
    total = sum(bench.parser.weight for bench in benches)
    debts = {bench.parser.name: 0.0 for bench in benches}
    left = inputs
    with report.open("w", encoding="utf-8") as file:
        while left > 0:
            for bench in benches:
                parser = bench.parser
                debts[parser.name] += min(_TURN, inputs) * parser.weight / total
                started = time.perf_counter()
                while debts[parser.name] >= 1 and left > 0:
                    debts[parser.name] -= 1
                    left -= 1
                    tried[parser.name] += 1
                    content = mutated(rng, bench.seeds)
                    if failure := bench.failure(content):
                        kind = f"{parser.name}: {failure.partition(': ')[0]}"
                        if kind not in seen:
                            seen.add(kind)
                            less = smaller(content, partial(bench.fails_like, failure))
                            entry = {"parser": parser.name, "failure": failure, "content": less.hex()}
                            file.write(json.dumps(entry) + "\n")
                            file.flush()
                seconds[parser.name] += time.perf_counter() - started
        file.write(json.dumps({"tried": tried, "seconds": seconds}) + "\n")


def keep(corpus: Path, parser: str, content: bytes) -> Path:
    """Put what failed where tests try it again."""
    path = corpus / parser / hashlib.sha256(content).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz from the command line; a line for each kind of failure, and a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parsers", nargs="*", default=list(parsers()), help="default: all")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="where to keep what fails")
    parser.add_argument("--atheris", type=int, default=0, metavar="SECONDS", help="let coverage guide for so long, too")
    arguments = parser.parse_args(argv)
    chosen = [parsers()[name] for name in arguments.parsers]
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    started = time.monotonic()
    try:
        for one in chosen:  # imported once, before the processes fork
            Bench.of(one, folder / "first" / one.name)
        failed = _in_processes(chosen, arguments.inputs, arguments.seed, arguments.jobs, folder)
        tried = Counter[str]()
        seconds = dict.fromkeys(arguments.parsers, 0.0)
        found: dict[str, tuple[str, bytes]] = {}
        for job in range(arguments.jobs):
            for line in (folder / f"report-{job}.jsonl").read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                if "tried" in entry:
                    tried.update(entry["tried"])
                    seconds = {name: seconds[name] + entry["seconds"][name] for name in seconds}
                else:
                    kind = f"{entry['parser']}: {entry['failure'].partition(': ')[0]}"
                    found.setdefault(kind, (entry["failure"], bytes.fromhex(entry["content"])))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for kind, (failure, content) in sorted(found.items()):
        path = keep(arguments.corpus, kind.partition(":")[0], content)
        print(f"{path}: {failure}")
    for name, content, how in failed:
        print(f"{keep(arguments.corpus, name, content)}: the process died: {how}")
    print("| parser | inputs | a second |\n| --- | ---: | ---: |")
    for name in arguments.parsers:
        print(f"| {name} | {tried[name]:,} | {tried[name] / max(seconds[name], 1e-9):,.0f} |")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    total, took = sum(tried.values()), time.monotonic() - started
    print(f"\nseed {arguments.seed}: {total:,} inputs in {took:.0f} s, at most {peak:,.0f} MB")
    print(f"{len(found) + len(failed)} kinds of failure" if found or failed else "all were read, or refused in words")
    code = 1 if found or failed else 0
    if arguments.atheris:
        from helpers.fuzz.guided import guided

        code |= guided(arguments.atheris, arguments.corpus)
    return code


def _in_processes(
    chosen: Sequence[Parser], inputs: int, seed: int, jobs: int, folder: Path
) -> list[tuple[str, bytes, str]]:
    """Fuzz in several processes; returns what a process died of: parser, file, signal."""
    sys.stdout.flush()
    running = {}
    for job in range(jobs):
        share = inputs // jobs + (job < inputs % jobs)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                benches = [Bench.of(one, folder / f"job-{job}" / one.name) for one in chosen]
                prepare_process()
                fuzz(benches, share, seed * 1000 + job, folder / f"report-{job}.jsonl")
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        running[pid] = job
    died = []
    while running:
        pid, status = os.wait()
        job, code = running.pop(pid), os.waitstatus_to_exitcode(status)
        if code:
            files = [(folder / f"job-{job}" / one.name / one.file, one.name) for one in chosen]
            path, name = max((pair for pair in files if pair[0].is_file()), key=lambda pair: pair[0].stat().st_mtime_ns)
            died.append((name, path.read_bytes(), f"exit code {code}"))
    return died


if __name__ == "__main__":
    sys.exit(main())
