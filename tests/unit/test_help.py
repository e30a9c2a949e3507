"""The help of each command, in a terminal of 80 columns."""

import re

import click
import pytest
from click.testing import CliRunner

from xnas_tf.cli import main


def commands(group, words=()):
    """All commands, with the words to call them."""
    yield words, group
    for name, command in getattr(group, "commands", {}).items():
        if not command.hidden:
            yield from commands(command, (*words, name))


@pytest.mark.parametrize(
    ("words", "command"), [pytest.param(*each, id=" ".join(each[0])) for each in commands(main)]
)
def test_help_fits_80_columns_and_explains_every_option(words, command):
    text = CliRunner().invoke(main, [*words, "--help"], terminal_width=80).output
    assert "Example:" in text
    assert "..." not in re.sub(r"(\]|RUN_OR_MODEL)\.\.\.", "", text)  # no summary is cut off
    assert max(map(len, text.splitlines())) <= 80
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert all(each.help and each.help.endswith((".", "]")) for each in options)
