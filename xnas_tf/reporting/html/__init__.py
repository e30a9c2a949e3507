"""A report on a run as one self-contained HTML file."""

from xnas_tf.reporting.html.page import save_report

__all__ = ["save_report"]
