"""What a command shows while it runs: in a log file, a terminal and a notebook."""

import json
import logging
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pexpect
import pytest
from click.testing import CliRunner
from nbclient import NotebookClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorflow import make_ndarray

from tests.documented import ROOT
from xnas_tf.cli import main
from xnas_tf.distributed import SingleProcess, start
from xnas_tf.distributed.options import DistributedOptions
from xnas_tf.errors import InputError
from xnas_tf.reporting import dataset
from xnas_tf.utils import tensorboard
from xnas_tf.utils.number_format import brief_value
from xnas_tf.utils.progress import (
    LOGGER,
    SHOWN_LINES,
    _Cell,
    displayed,
    epochs_bar,
    log_message,
    progress_bar,
    steps_bar,
)
from xnas_tf.utils.tensorboard import TrainingCurves

SHOW = """
from xnas_tf.utils.number_format import brief_value
from xnas_tf.utils.progress import displayed, epochs_bar, log_message
with displayed({verbose}), epochs_bar() as show_epoch:
    log_message("run directory <runs/a>")
    for epoch in (1, 2, 3):
        show_epoch(epoch, 3, {{"loss": 0.5 / epoch}})
    log_message("warning: one class has no images")
"""
SEARCH = """
from xnas_tf import search
search("{config}", "{run}")
"""


def show(verbose):
    exec(SHOW.format(verbose=verbose))


@pytest.mark.parametrize(("verbose", "lines"), [(0, 1), (1, 5), (2, 5)])
def test_a_log_file_gets_plain_lines(verbose, lines, capsys):
    show(verbose)
    out, err = capsys.readouterr()
    assert out == "" and "\x1b" not in err and "\r" not in err
    assert len(err.splitlines()) == lines
    assert "warning: one class has no images" in err
    assert ("epoch 3 of 3: loss 0.1667" in err) == (verbose > 0)


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (1, 0), (2, 3)])
def test_a_terminal_gets_one_bar_and_lines_above_it(verbose, lines):
    text, status = pexpect.run(
        f"{sys.executable} -c '{SHOW.format(verbose=verbose)}'",
        withexitstatus=True,
        cwd=ROOT,
        env={"TERM": "xterm", "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        encoding="utf8",
    )
    assert status == 0, text
    assert text.count("warning: one class has no images") == 1
    assert text.count("epoch 2 of 3: ") + text.count("epoch 3 of 3: ") == lines * 2 // 3
    assert ("3/3" in text and "loss 0.1667" in text) == (verbose > 0)


def run_cell(code, **options):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    resources = {"metadata": {"path": str(ROOT)}}
    NotebookClient(notebook, timeout=300, resources=resources, **options).execute()
    return notebook.cells[0].outputs


@pytest.mark.long
def test_a_notebook_gets_one_output_that_is_updated():
    (output,) = run_cell(SHOW.format(verbose=1))
    assert output.output_type == "display_data"
    page = output.data["text/html"]
    assert 'max="3" value="3"' in page and "loss 0.1667" in page
    assert "run directory &lt;runs/a&gt;" in page and "one class has no images" in page


@pytest.mark.long
def test_a_search_in_a_notebook_has_one_output(tmp_path):
    config = tmp_path / "tiny.yaml"
    settings = {
        "dataset": {"name": "digits"},
        "space": {"name": "nas_bench_201", "channels": 2, "cells_per_stack": 1},
        "objectives": ["error", "parameters"],
        "training": {"epochs": 1},
        "search": {"candidates": 2, "population": 2},
    }
    config.write_text(json.dumps(settings))
    outputs = run_cell(SEARCH.format(config=config, run=tmp_path / "run") + "None")
    shown = [each for each in outputs if each.output_type == "display_data"]
    assert len(shown) == 1 and "2/2  candidate" in shown[0].data["text/html"]


@pytest.mark.parametrize("done", [0, 6])
def test_a_notebook_keeps_the_notes_on_the_data_above_the_lines_that_scroll(monkeypatch, done):
    shown = []
    handle = SimpleNamespace(update=lambda content: shown.append(content.data))
    monkeypatch.setattr("IPython.display.display", lambda content, **_: handle)
    cell = _Cell()
    cell.add("run directory runs/bats", False)
    cell.update(done, 30, "")  # the search begins
    notes = [f"data set bats: note {number}" for number in range(12)]
    for note in notes:
        cell.add(note, False)
    for number in range(1, 31):
        cell.update(max(done, number - 1), 30, f"candidate {number}: epoch 1 of 1")
        cell.add(f"line of candidate {number}", number == 2)
    text = shown[-1]
    assert all(note in text for note in ["run directory runs/bats", *notes])
    lines = [number for number in range(1, 31) if f"candidate {number}<" in text + "<"]
    assert lines == [2, *range(31 - SHOWN_LINES, 31)]  # the second is a warning


MISTAKE = """
import xnas_tf as xt
def load():
    try:
        {}["a"]
    except KeyError as error:
        raise xt.InputError("`a`: wrong") from error
load()
"""


@pytest.mark.long
def test_a_notebook_shows_the_message_of_a_mistake_alone():
    (output,) = run_cell(MISTAKE, allow_errors=True)
    assert output.output_type == "error" and output.traceback == ["InputError: `a`: wrong"]


def test_a_log_file_gets_ten_lines_of_many_steps(capsys):
    with displayed(), steps_bar("learning masks") as show_step:
        for step in range(95):
            show_step(step + 1, 95)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10 and lines[-1] == "learning masks: 95 of 95"


def test_only_an_allowed_verbosity_is_taken():
    with pytest.raises(InputError, match="`verbose` 3: allowed: 0, 1 or 2"), displayed(3):
        pass


def test_importing_the_package_configures_no_logging_and_warnings_are_shown():
    check = """
import logging, xnas_tf
from xnas_tf.utils.progress import log_message
assert not logging.getLogger().handlers and not logging.getLogger("xnas_tf").handlers
log_message("a note")
log_message("warning: less accurate")
"""
    found = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "warning: less accurate\n")


def test_logging_is_afterwards_as_it_was_before(caplog, capsys):
    before = LOGGER.level, LOGGER.propagate, list(LOGGER.handlers)
    with pytest.raises(ValueError), displayed(2), displayed(0):  # the outer one counts
        LOGGER.debug("an epoch")
        raise ValueError
    assert (LOGGER.level, LOGGER.propagate, LOGGER.handlers) == before
    assert "an epoch" in capsys.readouterr().err and not caplog.records
    with caplog.at_level(logging.INFO, "xnas_tf"):
        log_message("without a display")
    assert "without a display" in caplog.text and capsys.readouterr().err == ""


def test_only_rank_0_shows_anything(monkeypatch, capsys):
    ranks = type("Ranks", (SingleProcess,), {"rank": 1})()
    monkeypatch.setattr(sys.modules["xnas_tf.distributed.start"], "_join", lambda: ranks)
    with displayed(2):
        start(DistributedOptions(), deterministic=False)
        log_message("warning: shown by rank 0")
        with progress_bar("bar") as update, epochs_bar() as show_epoch:
            update(1, 2, "half")
            show_epoch(1, 2, {})
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("words", "is_shown"), [([], True), (["-q"], False)])
def test_quiet_leaves_warnings_and_results(words, is_shown, monkeypatch):
    def inspect(_name, _overrides, log):
        log("decoding 8 images")
        log("warning: all images are black")
        return SimpleNamespace(as_dict=lambda: {"images": 8})

    monkeypatch.setattr(dataset, "inspect_data", inspect)
    result = CliRunner().invoke(main, ["data", "x", "--format", "json", *words])
    assert result.exit_code == 0 and json.loads(result.stdout) == {"images": 8}
    assert ("decoding 8 images" in result.stderr) == is_shown
    assert "warning: all images are black" in result.stderr


def points(folder, tag="loss/training"):
    """The steps and values of a curve, as TensorBoard reads them."""
    read = EventAccumulator(str(folder)).Reload()
    return [(each.step, float(make_ndarray(each.tensor_proto))) for each in read.Tensors(tag)]


def test_a_curve_grows_and_a_resumed_one_has_each_epoch_once(tmp_path):
    folder, history = tmp_path / "candidate-00001", [{"loss": n / 4} for n in (4, 3, 2, 1)]
    curves = TrainingCurves()
    for epoch in (1, 2, 3):
        curves.update(folder, history[:epoch])
        assert points(folder) == [(n + 1, history[n]["loss"]) for n in range(epoch)]
    resumed = TrainingCurves()  # in another process, from a checkpoint after epoch 2
    resumed.update(folder, history[:3])
    resumed.update(folder, history)
    resumed.finish(folder, history, {"objective/error": 0.25}, {"channels": 8}, "candidate 1")
    assert points(folder) == [(n, h["loss"]) for n, h in enumerate(history, start=1)]
    assert points(folder, "objective/error") == [(4, 0.25)]
    files = sorted(folder.iterdir())
    TrainingCurves().finish(folder, history, {"objective/error": 0.5})  # when the run is replayed
    assert sorted(folder.iterdir()) == files


def test_what_a_killed_search_left_is_written_in_full(tmp_path):
    folder, history = tmp_path / "candidate-00001", [{"loss": 1.0}, {"loss": 0.5}]
    TrainingCurves().update(folder, history[:1])
    TrainingCurves().finish(folder, history, {"seconds": 3.0})
    assert points(folder) == [(1, 1.0), (2, 0.5)] and points(folder, "seconds") == [(2, 3.0)]


def test_a_training_that_begins_again_replaces_its_curve(tmp_path):
    curves = TrainingCurves()
    curves.update(tmp_path / "a", [{"loss": 1.0}, {"loss": 0.5}])
    curves.update(tmp_path / "a", [{"loss": 0.75}])
    assert points(tmp_path / "a") == [(1, 0.75)]


def test_a_file_of_curves_is_kept_to_be_closed_if_a_value_cannot_be_written(tmp_path, monkeypatch):
    summary = tensorboard.tf.summary  # whichever copy of this module TensorFlow has loaded by now
    create, opened = summary.create_file_writer, []
    monkeypatch.setattr(
        summary,
        "create_file_writer",
        lambda *given, **options: opened.append(create(*given, **options)) or opened[-1],
    )
    curves = TrainingCurves()
    for _ in range(3):
        with pytest.raises((TypeError, ValueError)):
            curves.update(tmp_path / "a", [{"loss": None}])
    curves.update(tmp_path / "a", [{"loss": 1.0}])
    assert points(tmp_path / "a") == [(1, 1.0)] and len(opened) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (44163, "44,163"),
        (29_690.0, "29,690"),
        (12345.6, "12,346"),
        (0.066666, "0.06667"),
        (1e-9, "1e-09"),
        (3.4e38, "3.4e+38"),
        (0.0, "0"),
        (float("nan"), "nan"),
    ],
)
def test_counts_are_written_in_full(value, text):
    assert brief_value(value) == text
