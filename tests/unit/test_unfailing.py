"""What shows a search cannot end it: a failure costs a note."""

import io
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from xnas_tf.candidate import Candidate
from xnas_tf.cli import main
from xnas_tf.execution.callbacks import Callback
from xnas_tf.launcher import search as launcher
from xnas_tf.reporting import candidate_tables, final_evaluation, search_callbacks
from xnas_tf.reporting.final_evaluation import FinalEvaluation
from xnas_tf.reporting.unfailing import Unfailing
from xnas_tf.training.callbacks import Interrupted
from xnas_tf.utils.pictures import png
from xnas_tf.utils.tensorboard import TrainingCurves, write_image, writer

ODD = "Conv 1: 3×3 #1 50%d [x] $\\frac{$"
CALLS = {
    "on_candidate_end": (Candidate(1, "g", {}), True, (), 0.0),
    "on_epoch_end": (Candidate(1, "g", {}), 1, {}),
    "on_generation_end": (1, (), (), 0.0),
    "on_message": ("text",),
    "on_search_end": (None,),
    "__exit__": (None, None, None),
}


class Broken(Callback):
    """Fails in every method."""

    def __init__(self, error):
        self.error, self.called = error, []

    def __getattribute__(self, name):
        if name not in CALLS:
            return super().__getattribute__(name)

        def fail(*arguments):
            self.called.append((name, arguments))
            raise self.error

        return fail


@pytest.mark.parametrize("call", CALLS)
def test_a_failure_is_noted_once(call):
    broken, notes = Broken(BrokenPipeError("the terminal is gone")), []
    callback = Unfailing(broken, notes.append)
    for _ in range(2):
        getattr(callback, call)(*CALLS[call])
    assert broken.called == 2 * [(call, CALLS[call])]
    (note,) = notes
    assert "Broken failed: BrokenPipeError: the terminal is gone" in note


def test_an_interruption_is_no_failure():
    with pytest.raises(Interrupted):
        Unfailing(Broken(Interrupted("SIGTERM")), print).on_search_end(None)


def test_a_note_that_cannot_be_printed_is_no_failure_either():
    broken = Broken(BrokenPipeError("the terminal is gone"))
    Unfailing(broken, broken.on_message).on_search_end(None)
    assert [name for name, _ in broken.called] == ["on_search_end", "on_message"]


def test_all_callbacks_of_a_search_are_of_this_kind(monkeypatch):
    for name in ("SearchProgress", "TensorBoard", "FinalEvaluation"):
        made = lambda *_: SimpleNamespace(on_message=print)  # noqa: E731
        monkeypatch.setattr(search_callbacks, name, made)
    context = SimpleNamespace(config=None, path=None, seconds_spent=0.0)
    made = search_callbacks.search_callbacks(context)
    assert {type(each) for each in made} == {Unfailing} and len(made) == 3


def final(monkeypatch, front, notes, **more):
    """A final evaluation of these candidates; what it saves is appended to the last."""
    run = SimpleNamespace(groups=lambda: (1, 1), pareto=lambda: front)
    monkeypatch.setattr(final_evaluation, "Run", lambda _: run)
    context = SimpleNamespace(path=None, **more)
    return FinalEvaluation(context, SimpleNamespace(), notes.append)


def test_a_candidate_that_cannot_be_tested_leaves_the_others(monkeypatch):
    front, notes, saved = [Candidate(1, "g", {}), Candidate(2, "h", {})], [], []

    def test(self, candidate, evaluator):
        if candidate.id == 1:
            raise OSError("No space left on device")

    monkeypatch.setattr(FinalEvaluation, "_test_and_draw", test)
    database = SimpleNamespace(save=lambda candidate: saved.append(candidate.id))
    final(monkeypatch, front, notes, database=database).on_search_end(None)
    assert saved == [2]
    assert any("candidate 1 was not tested: OSError: No space left" in note for note in notes)


def test_a_finished_search_ends_with_0_whatever_its_table_does(monkeypatch, tmp_path):
    run = SimpleNamespace(path=tmp_path / "my run")
    monkeypatch.setattr(launcher, "search", lambda **_: run)
    result = CliRunner().invoke(main, ["search"])
    assert result.exit_code == 0
    assert f"the results of {run.path} cannot be shown" in result.stderr


def test_the_commands_printed_after_a_search_can_be_pasted(monkeypatch):
    run = SimpleNamespace(path=Path("my runs/ä 'b' [1] $x"))
    listed = SimpleNamespace(recommended=SimpleNamespace(id=1))
    monkeypatch.setattr(launcher, "search", lambda **_: run)
    monkeypatch.setattr(candidate_tables, "listing", lambda *_, **__: listed)
    monkeypatch.setattr(sys.modules["xnas_tf.cli.search"], "print_pareto", lambda _: None)
    result = CliRunner().invoke(main, ["search"])
    commands = result.stderr.partition("Next:")[2].strip().splitlines()
    words = [shlex.split(command) for command in commands]
    assert [each[1] for each in words] == ["pareto", "report", "export", "--logdir"]
    assert [each[2] for each in words] == [*[str(run.path)] * 3, str(run.path / "tensorboard")]


def test_any_name_can_be_written_for_tensorboard(tmp_path):
    picture = png(Figure())
    folder = tmp_path / ODD
    metrics = {ODD: 1.0, "": 2.0}
    TrainingCurves().finish(folder, [{f"val_{ODD}": 0.5}], metrics, {ODD: 3}, ODD)
    with writer(folder):
        write_image(ODD, picture, 1)
    assert len(list(folder.glob("events*"))) == 3


def test_texts_in_pictures_are_no_formulas():
    def picture(text):
        figure = Figure(figsize=(3, 2))
        axes = figure.subplots()
        axes.set_xticks([0, 1], labels=[text, text])
        figure.suptitle(text)
        return png(figure)

    formula = Figure(figsize=(3, 2))
    formula.suptitle(ODD)
    with pytest.raises(ValueError, match="frac"):
        FigureCanvasAgg(formula).print_png(io.BytesIO())
    assert picture(ODD) != picture("") != picture("$$")
