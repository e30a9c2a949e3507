"""A network that was trained before is not trained again, in this run or another."""

import json
import textwrap

import xnas_tf as xt
from tests.e2e.conftest import xnas
from xnas_tf.reporting.status import run_status

IDLE = textwrap.dedent("""
    import keras, keras_tuner
    class Convolutions(keras_tuner.HyperModel):
        def __init__(self, input_shape, classes):
            super().__init__()
            self.image_shape, self.classes = input_shape, classes
        def build(self, hp):
            x = inputs = keras.Input(self.image_shape)
            x = keras.layers.Conv2D(hp.Int("filters", 2, 6, step=4), 3, activation="relu")(x)
            size = hp.Choice("size", [2, 3])
            if hp.Boolean("pool"):
                x = keras.layers.MaxPooling2D(size)(x)
            x = keras.layers.Flatten()(x)
            outputs = keras.layers.Dense(self.classes, activation="softmax")(x)
            model = keras.Model(inputs, outputs)
            model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
            return model
""")
"""8 architectures, but 6 networks: the size of a pool that is not there makes no difference."""
WORDS = [
    "dataset=digits",
    "space={hypermodel: 'idle:Convolutions'}",
    "training={epochs: 1, batch_size: 64}",
    "objectives=[error, parameters]",
]
OPTIONS = [word for text in WORDS for word in ("--set", text)]


def search(folder, run, *more):
    options = [word for text in more for word in ("--set", text)]
    done = xnas("search", *OPTIONS, *options, "--run-dir", run, cwd=folder)
    opened = xt.load_run(folder / run)
    return done, run_status(opened), opened.candidates()


def test_what_is_known_is_not_trained(tmp_path):
    (tmp_path / "idle.py").write_text(IDLE)
    done, status, first = search(tmp_path, "first", "search={candidates: 12, population: 4}")
    assert (len(first), status["done"], status["duplicate"]) == (8, 6, 2)
    assert "every architecture was proposed" in status["ended_because"]
    networks = {c.digest: c for c in first if c.state == "done"}
    assert len(networks) == 6
    for c in first:
        if c.state == "duplicate":
            assert c.reason == f"the same network as candidate {networks[c.digest].id}"
            assert "train" not in c.seconds and not c.hyperparameters["pool"]

    more = "search={candidates: 12, population: 4, seed: 5, reuse: [first]}"
    done, status, second = search(tmp_path, "second", more)
    assert (len(second), status["done"], status["duplicate"]) == (8, 6, 2)
    assert status["reused"] >= 4 and "candidate 1 of first" in done.stderr
    for c in second:
        if c.reused_from:
            assert c.objectives == networks[c.digest].objectives
            assert c.history == networks[c.digest].history
    run = xt.load_run(tmp_path / "second")
    assert all(c.load_model() and "test_accuracy" in c.metrics for c in run.pareto())
    taken = next(c for c in run.pareto() if c.reused_from)
    (folder,) = xt.export(run, candidates=[taken.id])
    assert json.loads((folder / "card.json").read_text())["reused_from"] == taken.reused_from

    wrong = [*OPTIONS, "--set", more, "--set", "training.epochs=2", "--run-dir", "third"]
    refused = xnas("search", *wrong, cwd=tmp_path, code=2)
    assert "training.epochs: 1 there, here 2" in refused.stderr
    assert not (tmp_path / "third").exists()
