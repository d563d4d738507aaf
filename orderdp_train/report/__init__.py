"""The report of an audit: table, figures, verdict and one self-contained page."""

from orderdp_train.report.document import Document
from orderdp_train.report.figures import audit_figures
from orderdp_train.report.folder import output_folder, write_report
from orderdp_train.report.page import render_page
from orderdp_train.report.table import terminal_table
from orderdp_train.report.verdict import verdicts

__all__ = [
    "Document",
    "audit_figures",
    "output_folder",
    "render_page",
    "terminal_table",
    "verdicts",
    "write_report",
]
