"""Tables in terminals of any width."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich import box
from rich.console import Console
from rich.table import Table

from xnas_tf.cli.group import print_tables
from xnas_tf.explanation import Explanation
from xnas_tf.explanation.tables import explanation_tables
from xnas_tf.exporting.card_files import files_table
from xnas_tf.reporting.wide_tables import split_to_fit

GENOTYPE = "|nor_conv_1x1~0|+|none~0|none~1|+|avg_pool_3x3~0|nor_conv_3x3~1|none~2|"


def table_of(objectives):
    table = Table(box=box.SIMPLE_HEAD, title="A title")
    table.add_column("id", justify="right")
    for number in range(objectives):
        table.add_column(f"objective_{number} ↓", justify="right", no_wrap=True)
    table.add_column("test accuracy", justify="right")
    table.add_column("genotype", overflow="fold")
    for row in (1, 2):
        values = [f"{row}.{number:04d}" for number in range(objectives)]
        table.add_row(str(row), *values, f"{row}2.50%", GENOTYPE)
    return table


def printed(table, width):
    console = Console(width=width, file=io.StringIO())
    parts = split_to_fit(table, console)
    for part in parts:
        console.print(part)
    return len(parts), console.file.getvalue()


@pytest.mark.parametrize("objectives", [1, 2, 5, 12])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_value_is_cut_off_or_folded(objectives, width):
    _, text = printed(table_of(objectives), width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    assert text.count("A title") == 1
    for row in (1, 2):
        for number in range(objectives):
            assert f"objective_{number} ↓" in text
            assert text.count(f" {row}.{number:04d} ") == 1
        assert f" {row}2.50% " in text
    assert re.search(r"\baccuracy ", text)
    # A genotype takes two lines at most, one below the other.
    assert text.count(GENOTYPE[:30]) == 2
    assert re.sub(r"\s", "", text).count(GENOTYPE[-20:]) >= 1


def test_words_are_not_broken_where_another_column_could_be_narrower():
    table = Table("method", box=box.SIMPLE_HEAD)
    names = ["deletion ↓", "insertion ↑", "sensitivity_n ↑", "max_sensitivity ↓", "sparseness ↑"]
    for name in names:
        table.add_column(name, justify="right")
    table.add_row("integrated gradients", *["0.1234"] * 5)
    _, text = printed(table, 80)
    for word in ("max_sensitivity", "sensitivity_n", "integrated", "gradients"):
        assert word in text


def test_images_are_named_by_their_files():
    found = Explanation(
        np.zeros((2, 4, 4, 1), np.uint8),
        np.array([[0.9, 0.1], [0.2, 0.8]]),
        np.array([0, 1]),
        ("cat", "dog"),
        files=("pets/[a].png", "pets/b.png"),
    )
    _, text = printed(explanation_tables(found.as_dict())[0], 80)
    lines = [line.split() for line in text.splitlines()]
    assert ["1", "pets/[a].png", "cat", "90.00%", "cat"] in lines and "true" not in text
    assert [image["file"] for image in found.as_dict()["images"]] == list(found.files)
    of_data_set = replace(found, files=(), labels=np.array([1, 1]))
    _, text = printed(explanation_tables(of_data_set.as_dict())[0], 80)
    assert ["1", "cat", "90.00%", "cat", "dog"] in [line.split() for line in text.splitlines()]


def test_a_table_that_fits_stays_whole():
    assert printed(table_of(2), 200)[0] == 1
    assert split_to_fit(table := table_of(2), Console(width=200)) == [table]


def test_in_a_pipe_each_row_takes_one_line_without_blanks_at_its_end(capsys):
    print_tables([table_of(9)])
    lines = capsys.readouterr().out.splitlines()
    assert sum(GENOTYPE in line for line in lines) == 2
    assert all(line == line.rstrip() for line in lines)


def test_the_table_of_exports_names_the_format_and_has_no_empty_column():
    file = {"format": "saved_model", "file": "1", "bytes": 2_000_000, "differences": {"x": 1e-7}}
    card = {"name": "candidate-00001", "files": [file, {**file, "format": "keras"}]}
    table = files_table([card])
    assert [column.header for column in table.columns] == [
        *("model", "format", "file", "MB", "difference")
    ]
    assert list(table.columns[1].cells) == ["saved_model", "keras"]
