"""What an aligner gained and cost, as one HTML file: summarize a comparison, then render the summary."""

from isthmus.report.card import render_card
from isthmus.report.page import render, write_report
from isthmus.report.summary import summarize

__all__ = ["render", "render_card", "summarize", "write_report"]
