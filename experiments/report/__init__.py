"""What people read of an evaluation: verdicts, tables and notes, for Markdown, HTML and the terminal."""

from experiments.report.content import Report
from experiments.report.markdown import markdown
from experiments.report.terminal import terminal_tables
from experiments.report.titles import METRICS, TITLES, in_order, method_title, show

__all__ = ["METRICS", "TITLES", "Report", "in_order", "markdown", "method_title", "show", "terminal_tables"]
