"""The command line: parses arguments, calls the library, and prints results on stdout."""

from xnas_tf.utils.environment import set_defaults

set_defaults()

from xnas_tf.cli import explanation, run, search, tools  # noqa: E402, F401 - registers the commands
from xnas_tf.cli.group import main  # noqa: E402

__all__ = ["main"]
