"""The report on an evaluation: the answer, then verdicts, tables and notes, for Markdown, HTML and the terminal."""

from experiments.reports.evaluation.content import Report
from experiments.reports.evaluation.markdown import markdown
from experiments.reports.evaluation.terminal import terminal_answer
from experiments.reports.evaluation.titles import METRICS, TITLES, in_order, method_title, show

__all__ = ["METRICS", "TITLES", "Report", "in_order", "markdown", "method_title", "show", "terminal_answer"]
