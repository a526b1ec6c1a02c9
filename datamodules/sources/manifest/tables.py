"""A file's table by its format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datamodules.formats.actigraphy import CWA, GENEACTIV, GT3X
from datamodules.recording import RecordingError
from datamodules.sources.manifest.actigraphy_table import ActigraphyTable
from datamodules.sources.manifest.binary_tables import NpyTable, ParquetTable
from datamodules.sources.manifest.csv_table import CsvTable
from datamodules.sources.manifest.spec import CsvSpec, TsdfSpec
from datamodules.sources.manifest.table import Table, Wanted
from datamodules.sources.manifest.tsdf_table import TsdfTable
from datamodules.sources.manifest.xlsx_table import XlsxTable

_BY_ENDING = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "csv",
    ".dat": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npy": "npy",
    ".xlsx": "xlsx",
    ".json": "tsdf",
    ".cwa": CWA,
    ".gt3x": GT3X,
    ".bin": GENEACTIV,
}


def open_table(
    path: Path,
    form: str,
    csv: CsvSpec,
    wanted: Sequence[Wanted],
    salvage: bool = False,
    tsdf: TsdfSpec | None = None,
) -> Table:
    """Open a table.

    Args:
        path: the file.
        form: one of ``spec.FORMATS``.
        csv: how a text table is written; ``null`` counts for names in Parquet and NPY files, too.
        wanted: columns to read.
        tsdf: what TSDF metadata leave open.
        salvage: of text, leave out and name what a logger leaves when it loses power or is started again.

    Raises:
        RecordingError: the file's ending says nothing, it is missing or damaged, or lacks a column.
    """
    if form == "auto":
        form = _BY_ENDING.get(Path(path.name.lower().removesuffix(".gz")).suffix, "")
        if not form:
            known = ", ".join(_BY_ENDING)
            raise RecordingError(f"{path}: the ending says nothing about its format; expected {known}, or set 'format'")
    if form == "parquet":
        return ParquetTable(path, wanted, csv.null)
    if form == "npy":
        return NpyTable(path, wanted, csv.null)
    if form == "xlsx":
        return XlsxTable(path, csv, wanted)
    if form == "tsdf":
        return TsdfTable(path, tsdf or TsdfSpec(), wanted)
    if form in (CWA, GT3X, GENEACTIV):
        return ActigraphyTable(path, form, wanted)
    return CsvTable(path, csv, wanted, salvage)
