"""The report on a build: the data that came in, the data that was left out, and the reasons, on one page."""

from experiments.reports.build.content import Quality, RecordingQuality, gather
from experiments.reports.build.page import FILE, html, write_if_stale, write_report

__all__ = ["FILE", "Quality", "RecordingQuality", "gather", "html", "write_if_stale", "write_report"]
