"""Look for names in a run, in shards or in any folder: ``python -m experiments.privacy_audit FOLDER --names FILE``.

The file has a name a line. Looked at are names of files, and content: text, HDF5, checkpoints, safetensors,
TensorBoard, PNG, Parquet and archives, in UTF-8, UTF-16 and Latin-1, upper or lower case, plain or escaped. Exit code 0
says that nothing was found and everything could be read. Output names lines of the list, not the names.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.runtime.command_line import EXIT_FAILED, EXIT_OK, guarded, program

if TYPE_CHECKING:
    from experiments.privacy.names import Finder
    from experiments.privacy.search import Found, Unsearched

_COMMAND = "experiments.privacy_audit"


def run(folders: Sequence[Path], finder: Finder) -> tuple[list[Found], list[Unsearched]]:
    """Look for the names in files and folders, with a progress bar.

    Returns:
        The places of names, and what could not be looked at.

    Raises:
        UserError: a folder is not there.
    """
    from experiments.privacy.search import Found, files_of, search
    from experiments.runtime.console import progress_bar
    from experiments.runtime.errors import UserError

    for folder in folders:
        if not folder.exists():
            raise UserError(f"{folder}: not there; expected a file or a folder")
    found: list[Found] = []
    unsearched: list[Unsearched] = []
    with progress_bar() as bar:
        files = [path for folder in folders for path in files_of(folder)]
        total = sum(path.lstat().st_size for path in files if path.is_file() and not path.is_symlink())
        task = bar.add_task("looking for names, MB", total=max(1, total >> 20))
        done = 0

        def progress(size: int) -> None:
            nonlocal done
            done += size
            bar.update(task, completed=done >> 20)

        for folder in folders:
            for each in search(folder, finder, progress):
                if isinstance(each, Found):
                    found.append(each)
                else:
                    unsearched.append(each)
        bar.update(task, completed=max(1, total >> 20))
    return found, unsearched


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog=program(_COMMAND), description="Look for names in a run, in shards or in any folder."
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="a folder or a file")
    parser.add_argument("--names", type=Path, required=True, metavar="FILE", help="names, one a line, UTF-8")
    parser.add_argument(
        "--whole-words", action="store_true", help="only where no letter stands before or behind: for short names"
    )
    arguments = parser.parse_args(argv)

    def work() -> int:
        from experiments.privacy.names import Finder, read_names

        names = read_names(arguments.names)
        finder = Finder(names, arguments.whole_words)
        found, unsearched = run(arguments.folders, finder)
        for hit in found:
            print(f"{finder.mask(str(hit.path))}: {finder.mask(hit.place)}: name of line {hit.line}")
        for each in unsearched:
            print(f"{finder.mask(str(each.path))}: NOT SEARCHED: {finder.mask(each.why)}")
        if not found and not unsearched:
            print(f"none of {len(names)} names was found")
            return EXIT_OK
        lines = {hit.line for hit in found}
        print(
            f"{len(lines)} of {len(names)} names found, at {len(found)} places; {len(unsearched)} parts not searched",
            file=sys.stderr,
        )
        return EXIT_FAILED

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
