"""Activities of new recordings: ``python -m experiments.predict HEAD FILE ... --acceleration ax,ay,az:g --rate 100``.

HEAD is a folder that ``experiments.adapt`` wrote. A FILE is a CSV or Parquet table, whose columns the options name, a
manifest (``.yaml``), or a video of an action camera. Writes ``predictions.csv``, ``bouts.csv``, ``hours.csv``,
``days.csv``, ``timeline.png`` and ``predictions.html`` into a folder. ``docs/guides/predicting.md`` explains all of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.runtime.command_line import EXIT_OK, guarded, program

if TYPE_CHECKING:
    from experiments.inference.recordings import TableColumns

_COMMAND = "experiments.predict"


@dataclass(frozen=True)
class Options:
    """How to predict, besides the columns of tables.

    Attributes:
        placement: of the sensor, where a manifest has several.
        unsure_below: a smoothed probability below it is ``unsure``.
        smoothed: False takes each window by itself.
        worn: the sensor counts as worn throughout; False looks for time in which it was not.
        zone: of the calendar, for hours and days.
        workers: processes; 0 takes one a core.
        pseudonyms: recordings go by pseudonyms; None: where the people of the head's study do.
        key: file of the key of pseudonyms; empty takes the usual place, where one is made on first use.
    """

    placement: str = ""
    unsure_below: float = 0.5
    smoothed: bool = True
    worn: bool = False
    zone: str = "UTC"
    workers: int = 0
    pseudonyms: bool | None = None
    key: str = ""


def run(head_folder: Path, files: Sequence[Path], columns: TableColumns, options: Options, folder: Path) -> list[Path]:
    """Predict, and write all tables, the picture and the page; returns their paths.

    Raises:
        InferenceError: the head or a file can't be used; one sentence says what to change.
        RecordingError: a file isn't what was declared.
    """
    from datetime import tzinfo
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from datamodules.privacy.settings import PrivacySettings
    from experiments.evaluation.timeline import Row, bouts_of, rows_of
    from experiments.inference.errors import InferenceError
    from experiments.inference.head_facts import incomplete_of
    from experiments.inference.private import under_pseudonyms
    from experiments.inference.recordings import open_recordings
    from experiments.inference.said import elsewhere, said_of
    from experiments.inference.scoring import scorer
    from experiments.inference.summary import Clock, by_day, by_hour
    from experiments.reports.prediction.first_look import with_first_look
    from experiments.runtime.console import console
    from experiments.runtime.processors import cores
    from experiments.runtime.sole_writer import turn, writing_lock

    try:
        zone: tzinfo = ZoneInfo(options.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InferenceError(
            f"--zone: there is no time zone '{options.zone}'; expected one like Europe/Berlin"
        ) from error
    if not 0 <= options.unsure_below <= 1:
        raise InferenceError(f"--unsure-below: expected a probability, 0 to 1; found {options.unsure_below:g}")
    rows: list[Row] = []
    clocks: dict[str, Clock] = {}
    notes: list[str] = []
    with scorer(head_folder, options.workers or cores()) as scorer_:
        head = scorer_.facts
        simulated = bool(head.about.get("simulated"))
        if stopped := incomplete_of(head_folder, head):
            notes.append(f"INCOMPLETE TRAINING: the encoder of this head is of {stopped}.")
        uses_gyroscope = bool(head.about.get("gyroscope", True)) and head.gyroscope
        recordings = open_recordings(files, columns, options.placement, head.grid)
        if head.private if options.pseudonyms is None else options.pseudonyms:
            recordings = under_pseudonyms(recordings, PrivacySettings(key=options.key).key_file())
        for opened in recordings:
            recorded = with_first_look(opened, head.grid)
            scores = scorer_.score(recorded)
            not_worn = scores.not_worn[: 0 if options.worn else None]
            found = rows_of(
                recorded.name,
                scores,
                head.classes,
                head.grid.duration_s,
                options.unsure_below,
                options.smoothed,
                not_worn,
            )
            notes += said_of(recorded, scores, not_worn)
            simulated = simulated or recorded.simulated
            if uses_gyroscope and not recorded.channel_mask[3:].any():
                notes.append(f"{recorded.name} has no gyroscope, the study of the head had one: expect more errors.")
            notes += elsewhere(recorded, [str(place) for place in head.about.get("placements", ())])
            if found:
                clocks[recorded.name] = Clock.of(found[0].start, zone)
                rows += found
            console.print(f"{recorded.name}: {len(scores.starts):,} windows", highlight=False, markup=False)
    if not rows:
        raise InferenceError("there is nothing to predict: no recording has a sample")
    # Imported when the workers have ended: what draws takes memory, too.
    from experiments.reports.prediction import figure, page
    from experiments.reports.prediction.tables import write_tables

    bouts = list(bouts_of(rows))
    hours, days = by_hour(rows, clocks), by_day(rows, clocks)
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / figure.FILE
    with turn(writing_lock(folder), f"writes into {folder}"):  # files of one call only
        paths = write_tables(folder, rows, bouts, hours, days, clocks, head.classes)
        if left_out := figure.draw_timeline(rows, clocks, head.classes, picture):
            notes.append(f"The picture leaves out {left_out} lines; the tables have all.")
        notes.append(_rule(options, head.grid.duration_s))
        page.write_page(folder / page.FILE, head, rows, bouts, days, clocks, picture, notes, simulated)
    for note in notes[:-1]:
        console.print(note, highlight=False, markup=False, soft_wrap=True)  # names of files stay whole
    return [folder / page.FILE, *paths, picture]


def _rule(options: Options, duration_s: float) -> str:
    smoothed = (
        "Probabilities are smoothed: half of a window's own, a quarter of each neighbour's. "
        if options.smoothed
        else ""
    )
    return (
        f"Windows of {duration_s:g} s. {smoothed}Where the likeliest activity is less likely than"
        f" {options.unsure_below:g}, the window is unsure. A window with missing or unusable samples is a gap. Where"
        " the sensor does not move for more than 90 minutes, it was not worn."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog=program(_COMMAND), description="Predict the activities of recordings of any length."
    )
    parser.add_argument("head", type=Path, help="folder that experiments.adapt wrote, e.g. runs/simulator/default/head")
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help=".csv, .csv.gz, .parquet, .yaml (manifest) or .mp4"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("predictions"), metavar="FOLDER", help="default: %(default)s"
    )
    table = parser.add_argument_group("columns of tables")
    table.add_argument("--acceleration", default="", metavar="X,Y,Z:UNIT", help="e.g. ax,ay,az:g; units: m/s^2, g, mg")
    table.add_argument("--gyroscope", default="", metavar="X,Y,Z:UNIT", help="e.g. gx,gy,gz:deg/s; units: rad/s, deg/s")
    table.add_argument(
        "--time", default="", metavar="COLUMN:UNIT", help="e.g. time_ms:ms; units: s, ms, us, ns, days, iso8601, h:m:s"
    )
    table.add_argument("--rate", type=float, default=0.0, metavar="HZ", help="samples a second, without --time")
    table.add_argument("--separator", default="", metavar="SIGN", help="between columns; default: a comma")
    parser.add_argument("--placement", default="", help="of the sensor, where a manifest has several")
    parser.add_argument("--zone", default="UTC", help="time zone of hours and days, e.g. Europe/Berlin; default: UTC")
    parser.add_argument("--unsure-below", type=float, default=0.5, metavar="P", help="default: %(default)s")
    parser.add_argument("--no-smoothing", action="store_true", help="take each window by itself")
    parser.add_argument("--worn", action="store_true", help="the sensor was worn throughout: look for no non-wear")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 takes one a core")
    private = parser.add_argument_group("privacy")
    private.add_argument(
        "--pseudonyms",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="recordings go by pseudonyms; default: where the people of the head's study do",
    )
    private.add_argument("--key", default="", metavar="FILE", help="of the pseudonyms, as privacy.key")
    arguments = parser.parse_args(argv)

    def work() -> int:
        from experiments.inference.recordings import TableColumns

        columns = TableColumns(
            arguments.acceleration,
            arguments.gyroscope,
            arguments.time,
            arguments.rate,
            arguments.zone if arguments.zone != "UTC" else "",
            arguments.separator,
        )
        options = Options(
            arguments.placement,
            arguments.unsure_below,
            not arguments.no_smoothing,
            arguments.worn,
            arguments.zone,
            arguments.workers,
            arguments.pseudonyms,
            arguments.key,
        )
        written = run(arguments.head, arguments.files, columns, options, arguments.output)
        print("\n".join(map(str, written)))
        print(f"look at it: open {written[0]} in a browser")
        return EXIT_OK

    return guarded(work, _COMMAND)


if __name__ == "__main__":
    sys.exit(main())
