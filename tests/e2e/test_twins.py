"""Real searches through a user's space whose networks differ in a learning rate alone."""

import signal

import pytest

import xnas_tf as xt
from tests.e2e.conftest import tiny, xnas
from tests.e2e.records import needs_horovod
from tests.e2e.test_durability import start, wait_for
from tests.e2e.test_horovod import horovodrun

SPACE = """
import keras

def build(hp):
    layers = keras.layers
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu")])
    for layer in (layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")):
        model.add(layer)
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    return model
"""
WORDS = tiny(
    "space={hypermodel: 'rates:build'}",
    "search={candidates: 8, population: 8, mode: generational}",
    "training={epochs: 2, batch_size: 50}",
    "distributed.threads_per_rank=1",
)


def search(folder, run=xnas, *more):
    """The candidates that were trained."""
    (folder / "rates.py").write_text(SPACE)
    run("search", *WORDS, *more, "--run-dir", "run", cwd=folder)
    candidates = xt.load_run(folder / "run").candidates()
    assert {c.state for c in candidates} == {"done"}
    return candidates


def figures(candidates):
    return {c.genotype: (c.history, c.objectives) for c in candidates}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The candidates of one process, of which the first two are traced."""
    candidates = search(tmp_path_factory.mktemp("alone"))
    assert ["trace" in c.seconds for c in candidates] == [True] * 2 + [False] * 6
    return figures(candidates)


def test_killed_it_goes_on_to_the_same_values(alone, tmp_path):
    """Other candidates are traced then; the values are the same to the last bit."""
    (tmp_path / "rates.py").write_text(SPACE)
    process = start("search", *WORDS, "--run-dir", "run", cwd=tmp_path)
    wait_for(process, "4/8")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    candidates = search(tmp_path)
    assert sum("trace" in c.seconds for c in candidates) > 2
    assert figures(candidates) == alone


def test_so_they_are_on_ray(alone, tmp_path):
    found = figures(search(tmp_path, xnas, "--groups", 2))
    assert found.keys() == alone.keys()
    for genotype, (history, objectives) in found.items():
        assert objectives == pytest.approx(alone[genotype][1], rel=1e-4, abs=1e-6)
        for epoch, whole in zip(history, alone[genotype][0], strict=True):
            assert epoch == pytest.approx(whole, rel=1e-4, abs=1e-6)


@needs_horovod
def test_two_ranks_train_them_together(alone, tmp_path):
    """Without statistics of layers one rank and two train the same."""
    found = figures(search(tmp_path, horovodrun))
    for genotype, (history, _) in found.items():
        for epoch, whole in zip(history, alone[genotype][0], strict=True):
            assert epoch["val_loss"] == pytest.approx(whole["val_loss"], rel=1e-3)
