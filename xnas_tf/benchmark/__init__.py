"""Runs searches with simulated training: the results are read from a table."""

from xnas_tf.benchmark.comparison import Comparison, compare
from xnas_tf.benchmark.problem import Problem, make_problem, parse_reference
from xnas_tf.benchmark.table import Table, read_table
from xnas_tf.benchmark.table_rows import write_table

__all__ = [
    "Comparison",
    "Problem",
    "Table",
    "compare",
    "make_problem",
    "parse_reference",
    "read_table",
    "write_table",
]
