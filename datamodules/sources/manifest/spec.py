"""The keys of a manifest: one dataclass a level of the YAML file, one field a key.

``docs/guides/your-data.md`` explains every key with an example; a test holds it to this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Column = str | int  # a name in the header, or a position counted from 1

TIME_UNITS = ("s", "ms", "us", "ns", "days", "iso8601", "h:m:s")
ACCELERATION_UNITS = ("m/s^2", "g", "mg", "lsb")
GYROSCOPE_UNITS = ("rad/s", "deg/s", "lsb")
FORMATS = ("auto", "csv", "tsv", "parquet", "npy", "xlsx", "tsdf", "cwa", "gt3x", "geneactiv")
DEFAULT_NULLS = ("", "NULL", "null", "NaN", "nan", "NA", "N/A", "None")
STAMPS, FIRST_SAMPLE = "stamps", "first_sample"


@dataclass(frozen=True)
class CsvSpec:
    """How a text table is written.

    Attributes:
        separator: one character between columns; empty is a comma, or a tab in a .tsv file.
        header: whether a line names the columns.
        decimal: sign before the decimals.
        encoding: of the file, as Python names it.
        skip_lines: lines above the header (or above the data, where there is none).
        skip_below_header: lines between header and data, e.g. one with units.
        null: what stands for a value that is not there.
        comment: sign at the beginning of lines that are no rows, e.g. ``%``; empty for none.
        thousands: sign between groups of three digits, e.g. ``,``; empty for none.
    """

    separator: str = ""
    header: bool = True
    decimal: str = "."
    encoding: str = "utf-8"
    skip_lines: int = 0
    skip_below_header: int = 0
    null: list[str] = field(default_factory=lambda: list(DEFAULT_NULLS))
    comment: str = ""
    thousands: str = ""


@dataclass(frozen=True)
class TsdfSpec:
    """What the metadata of TSDF files leave open.

    Attributes:
        scale_factors: ``apply`` or ``ignore``; empty applies those of integers, and refuses those of decimals.
        time: what times count from, ``difference``, ``relative`` or ``absolute``; empty takes what the metadata say.
    """

    scale_factors: str = ""
    time: str = ""


@dataclass(frozen=True)
class TimeSpec:
    """When samples were taken: a column of stamps with its unit, or a rate.

    Attributes:
        column: of the stamps.
        unit: one of ``TIME_UNITS``; ISO 8601 without a zone is taken as UTC.
        rate_hz: samples a second, where there is no column.
        repeated: ``error``, or ``first`` to keep the first of samples with the same stamp.
        format: of dates and times that are not ISO 8601, e.g. ``%d/%m/%Y %H:%M:%S.%f``; instead of ``unit``.
        zone: of dates without an offset, e.g. ``Europe/Berlin``.
        restarts: where the logger was started again within the file: ``error``, or ``parts`` to make a recording of
            each start.
    """

    column: Column | None = None
    unit: str = ""
    rate_hz: float = 0.0
    repeated: str = "error"
    format: str = ""
    zone: str = ""
    restarts: str = "error"


@dataclass(frozen=True)
class AccelerationSpec:
    """Three columns of acceleration, gravity included.

    Attributes:
        columns: x, y, z.
        unit: one of ``ACCELERATION_UNITS``.
        per_g: counts in one g, for ``lsb``.
        range: largest value that the device gives, in this unit; 0 if unknown.
    """

    columns: list[Column]
    unit: str
    per_g: float = 0.0
    range: float = 0.0


@dataclass(frozen=True)
class GyroscopeSpec:
    """Three columns of angular velocity.

    Attributes:
        columns: x, y, z, the axes of the acceleration.
        unit: one of ``GYROSCOPE_UNITS``.
        per_deg_s: counts in one degree per second, for ``lsb``.
        range: largest value that the device gives, in this unit; 0 if unknown.
    """

    columns: list[Column]
    unit: str
    per_deg_s: float = 0.0
    range: float = 0.0


@dataclass(frozen=True)
class SensorSpec:
    """One motion sensor; without a gyroscope, three channels are marked as missing.

    Attributes:
        acceleration: its columns; None where another entry of ``imu`` has them for the same placement.
        gyroscope: its columns, here or in another entry.
        device: make and model.
        zeros: rows whose values are all 0: ``keep``, or ``lost`` where a logger writes them for lost samples.
        calibrate: apply gain and offset of the acceleration, where the sensor's rest tells them.
        non_wear: rest of more than 90 minutes: ``keep``, or ``drop`` to leave it out.
    """

    acceleration: AccelerationSpec | None = None
    gyroscope: GyroscopeSpec | None = None
    device: str = "unknown"
    zeros: str = "keep"
    calibrate: bool = False
    non_wear: str = "keep"

    @property
    def twice(self) -> Column | None:
        """A column that stands for two axes; None if each has its own."""
        parts = [part.columns for part in (self.acceleration, self.gyroscope) if part is not None]
        columns = [column for part in parts for column in part]
        return next((column for column in columns if columns.count(column) > 1), None)


@dataclass(frozen=True)
class RowsSpec:
    """The rows of one sensor, in files where several sensors take turns.

    Attributes:
        column: says which sensor a row is of.
        value: what stands there in this sensor's rows.
    """

    column: Column
    value: str


@dataclass(frozen=True)
class ImuSpec:
    """Files with motion data, one a recording.

    Attributes:
        files: pattern below the manifest's folder, e.g. ``imu/{subject}_{session}.csv``.
        sensors: placement -> columns; several where a file holds several sensors.
        time: stamps or rate.
        format: one of ``FORMATS``; ``auto`` goes by the file's ending.
        csv: how a text table is written.
        tsdf: what TSDF metadata leave open.
        optional: a recording may lack this file, or these rows (never the first entry's).
        rows: which rows are this entry's, by one column or by several; None takes all.
        concat: a group of the pattern; files that differ in it alone are one recording, in its natural order.
    """

    files: str
    sensors: dict[str, SensorSpec]
    time: TimeSpec
    format: str = "auto"
    csv: CsvSpec = field(default_factory=CsvSpec)
    tsdf: TsdfSpec = field(default_factory=TsdfSpec)
    optional: bool = False
    rows: RowsSpec | list[RowsSpec] | None = None
    concat: str = ""

    @property
    def row_rules(self) -> list[RowsSpec]:
        """What must hold of a row that is this entry's; empty takes all."""
        return [self.rows] if isinstance(self.rows, RowsSpec) else list(self.rows or ())


@dataclass(frozen=True)
class VideoSpec:
    """One camera.

    Attributes:
        files: pattern; its named groups are those of the IMU files.
        camera: name.
        start_s: when its first frame is shown on the recording's clock, seconds; may be ``{column}`` of the details.
        fit: see ``video_decode.VideoFile``.
        optional: a recording may lack it.
    """

    files: str
    camera: str = "camera"
    start_s: str | float = 0.0
    fit: str = "crop"
    optional: bool = False


@dataclass(frozen=True)
class LabelsSpec:
    """Who did what when: a file of intervals, a column of the IMU file, or a part of its name.

    Attributes:
        column: of the (first) IMU file, an activity a sample; instead of the following.
        files: pattern of tables with one interval a row.
        start, end, activity: columns of that table. With neither ``column`` nor ``files``, ``activity`` is the text
            of the whole recording's label, e.g. ``"{activity}"`` for a group of the IMU pattern.
        unit: of start and end, one of ``TIME_UNITS``.
        format, zone: of start and end, as for the IMU's time.
        clock: ``video`` counts from the recording's time 0, ``imu`` as the IMU's stamps do.
        csv: how the table is written.
        names: what stands in the table -> the activity's name; anything else is then an error.
        unlabelled: values that mean "no label".
        optional: a recording may lack the file.
    """

    column: Column | None = None
    files: str = ""
    start: Column = "start"
    end: Column = "end"
    activity: Column = "activity"
    unit: str = "s"
    format: str = ""
    zone: str = ""
    clock: str = "video"
    csv: CsvSpec = field(default_factory=CsvSpec)
    names: dict[str, str] = field(default_factory=dict)
    unlabelled: list[str] = field(default_factory=list)
    optional: bool = False


@dataclass(frozen=True)
class DetailsSpec:
    """A table with one row a recording (or subject), for what differs between them.

    Columns named as groups of the IMU pattern say which row is whose; the others can be used as ``{column}``.
    """

    file: str
    csv: CsvSpec = field(default_factory=CsvSpec)


@dataclass(frozen=True)
class GroupSpec:
    """Recordings with files of one kind.

    Attributes:
        imu: motion data; the first entry's files say which recordings there are.
        videos: cameras.
        labels: activities.
        details: a table of what differs between recordings.
        recording: a recording's name; empty joins the pattern's groups by '_'.
        subject: whose it is.
        people: a subject's name in the files -> the person's, where one person has two names.
        population: e.g. ``healthy`` or ``parkinson``.
        zero: what the IMU's stamps show at the recording's time 0 (where videos start, by default): ``stamps`` if they
            show 0 then, ``first_sample`` if it is the first sample, or a stamp; may be ``{column}`` of the details.
        imu_clock_offset_s: known error of the IMU's clock, added to its times; may be ``{column}`` of the details.
        orphans: files of videos, labels or further sensors without an IMU file: ``error`` or ``allow``.
    """

    imu: list[ImuSpec]
    videos: list[VideoSpec] = field(default_factory=list)
    labels: LabelsSpec | None = None
    details: DetailsSpec | None = None
    recording: str = ""
    subject: str = "{subject}"
    people: dict[str, str] = field(default_factory=dict)
    population: str = "general"
    zero: str | float = STAMPS
    imu_clock_offset_s: str | float = 0.0
    orphans: str = "error"


@dataclass(frozen=True)
class ManifestSpec:
    """A whole manifest.

    Attributes:
        groups: name -> files of one kind.
        name: of the study, in tables; empty takes the file's name.
        simulated: the recordings are not of real people; every table made from them says so.
    """

    groups: dict[str, GroupSpec]
    name: str = ""
    simulated: bool = False


def whole_sensor(group: GroupSpec, placement: str) -> SensorSpec:
    """Accelerometer and gyroscope of a placement, from one entry or two."""
    found = [imu.sensors[placement] for imu in group.imu if placement in imu.sensors]
    return SensorSpec(
        acceleration=next(s.acceleration for s in found if s.acceleration is not None),
        gyroscope=next((s.gyroscope for s in found if s.gyroscope is not None), None),
        calibrate=any(s.calibrate for s in found),
    )
