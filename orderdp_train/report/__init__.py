"""The report of an audit: table, figures, verdict and one self-contained page."""

from orderdp_train.report.document import Document, versions
from orderdp_train.report.figures import audit_figures, drawings_of
from orderdp_train.report.folder import output_folder, write_report
from orderdp_train.report.page import render_page
from orderdp_train.report.promises import promise_table
from orderdp_train.report.stored import find_audit, read_audit
from orderdp_train.report.table import terminal_table
from orderdp_train.report.verdict import verdicts

__all__ = [
    "Document",
    "audit_figures",
    "drawings_of",
    "find_audit",
    "output_folder",
    "promise_table",
    "read_audit",
    "render_page",
    "terminal_table",
    "verdicts",
    "versions",
    "write_report",
]
