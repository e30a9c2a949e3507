"""The command line: parses, calls the library, prints. Results on stdout, the rest on stderr."""

from xnas_tf.utils.environment import set_defaults

set_defaults()

from xnas_tf.cli import models, retraining, run, search, tools  # noqa: E402, F401 - they add their commands
from xnas_tf.cli.group import main  # noqa: E402

__all__ = ["main"]
