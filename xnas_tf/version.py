"""The version of xnas-tf."""

__version__ = "0.2.0"
