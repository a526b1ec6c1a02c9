"""The report on a build: what came in, what was left out and why, on one page for the person whose data it is."""

from experiments.reports.build.content import Quality, RecordingQuality, gather
from experiments.reports.build.page import FILE, html, write_if_stale, write_report

__all__ = ["FILE", "Quality", "RecordingQuality", "gather", "html", "write_if_stale", "write_report"]
