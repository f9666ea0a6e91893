"""What a study leaves behind: results.json, plots and one self-contained page."""

from jaxlab.report.environment import environment
from jaxlab.report.live import LivePlot
from jaxlab.report.page import render, write
from jaxlab.report.picture import write_picture
from jaxlab.report.results import SCHEMA, Results, check, load, save
from jaxlab.report.study import Comparison, Study, task_entry

__all__ = [
    "SCHEMA",
    "Comparison",
    "LivePlot",
    "Results",
    "Study",
    "check",
    "environment",
    "load",
    "render",
    "save",
    "task_entry",
    "write",
    "write_picture",
]
