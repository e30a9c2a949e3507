"""A report on a run as one self-contained HTML file."""
