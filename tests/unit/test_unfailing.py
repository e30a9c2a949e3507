"""What shows a search cannot end it: a failure costs a note."""

import io
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from xnas_tf.candidate import Candidate
from xnas_tf.cli import main
from xnas_tf.errors import InputError
from xnas_tf.launcher import search as launcher
from xnas_tf.reporting import candidate_tables
from xnas_tf.reporting.final_evaluation import FinalEvaluation
from xnas_tf.strategy.recommendation import Recommendation
from xnas_tf.utils.pictures import png
from xnas_tf.utils.tensorboard import TrainingCurves, write_image, writer

ODD = "Conv 1: 3×3 #1 50%d [x] $\\frac{$"


def final(front, notes, **more):
    """The final evaluation of these candidates."""
    run = SimpleNamespace(groups=lambda: (1, 1), pareto=lambda: front, backend=object())
    FinalEvaluation(SimpleNamespace(**more), SimpleNamespace(), notes.append).on_search_end(
        run, None
    )


def test_a_candidate_that_cannot_be_tested_leaves_the_others(monkeypatch):
    front, notes, saved = [Candidate(1, "g", {}), Candidate(2, "h", {})], [], []

    def test(self, candidate, backend):
        if candidate.id == 1:
            raise OSError("No space left on device")

    monkeypatch.setattr(FinalEvaluation, "_test_and_draw", test)
    database = SimpleNamespace(
        save=lambda candidate: saved.append(candidate.id),
        fact=lambda name: [],
        set_fact=lambda name, value: None,
        transaction=nullcontext,
    )
    final(front, notes, database=database)
    assert saved == [2]
    assert any("candidate 1 was not tested: OSError: No space left" in note for note in notes)


@pytest.mark.parametrize("origin", ["", "candidate 1 of runs/gift"])
def test_a_reused_model_is_loaded_in_safe_mode(origin, monkeypatch):
    """It may come from somebody else's run, unlike the models of the search itself."""
    notes, asked = [], []

    def load(self, safe=True):
        asked.append(safe)
        raise InputError("it contains Python code")

    monkeypatch.setattr(Candidate, "load_model", load)
    space, database = SimpleNamespace(is_built_in=False), SimpleNamespace(fact=lambda name: [])
    final([Candidate(1, "g", {}, reused_from=origin)], notes, space=space, database=database)
    assert asked == [bool(origin)]
    assert any("candidate 1 was not tested: it contains Python code" in note for note in notes)


def test_a_finished_search_ends_with_0_whatever_its_table_does(monkeypatch, tmp_path):
    run = SimpleNamespace(path=tmp_path / "my run")
    monkeypatch.setattr(launcher, "search", lambda **_: run)
    result = CliRunner().invoke(main, ["search"])
    assert result.exit_code == 0
    assert f"the results of {run.path} cannot be shown" in result.stderr


@pytest.mark.parametrize(
    ("recommended", "command"),
    [
        (Recommendation(1, "good", 1), ["export"]),
        (Recommendation(None, "none is better than chance", 2), ["explain", "--candidate", "2"]),
        (Recommendation(None, "no candidate has a result yet"), []),
    ],
)
def test_the_commands_printed_after_a_search_can_be_pasted(recommended, command, monkeypatch):
    run = SimpleNamespace(path=Path("my runs/ä 'b' [1] $x"))
    listed = SimpleNamespace(recommended=recommended)
    monkeypatch.setattr(launcher, "search", lambda **_: run)
    monkeypatch.setattr(candidate_tables, "listing", lambda *_, **__: listed)
    monkeypatch.setattr(sys.modules["xnas_tf.cli.search"], "print_pareto", lambda _: None)
    result = CliRunner().invoke(main, ["search"])
    commands = result.stderr.partition("Next:")[2].strip().splitlines()
    words = [shlex.split(command) for command in commands]
    *ours, tensorboard = words
    assert [each[1] for each in ours] == ["pareto", "report", *command[:1]]
    assert {each[2] for each in ours} == {str(run.path)} and ours[-1][3:] == command[1:]
    assert tensorboard[1:] == ["--logdir", str(run.path / "tensorboard")]


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
