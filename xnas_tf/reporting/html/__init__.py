"""A run as one HTML file, which needs nothing else to be viewed."""

from xnas_tf.reporting.html.page import save_report

__all__ = ["save_report"]
