"""The configurations of the XNAS paper's experiment, end to end on few and small images."""

import numpy as np
import pytest

import xnas_tf as xt
from tests.e2e.conftest import ROOT, xnas
from tests.e2e.records import needs_horovod
from tests.e2e.test_horovod import horovodrun
from tests.published import write_batches

pytestmark = pytest.mark.long
SMALL = (
    *("--set", "space.channels=2", "--set", "space.cells_per_stack=1"),
    *("--set", "training.epochs=3", "--set", "training.batch_size=12"),
    *("--set", "search.candidates=2", "--set", "search.population=2"),
)


def images(count, classes, shape):
    """Images whose class is shown by which rows are bright, and the classes."""
    labels = np.arange(count) % classes
    pixels = np.random.default_rng(count).integers(0, 60, (count, *shape))
    for image, label in zip(pixels, labels, strict=True):
        image[2 * label : 2 * label + 2] += 180
    return pixels.astype(np.uint8), labels


SHAPES = {"mnist": (28, 28), "cifar10": (32, 32, 3)}


def data_options(name, folder, monkeypatch):
    """Write images in the form that a configuration reads; return the words that name them."""
    if name == "imagenet16-120":
        write_batches(folder / "batches")
        return ["--set", f"dataset.name=imagenet16_120:{folder}/batches"]
    arrays = {}
    for split, count in (("train", 120), ("test", 20)):
        arrays[f"x_{split}"], arrays[f"y_{split}"] = images(count, 10, SHAPES[name])
    (folder / "datasets").mkdir()
    np.savez(folder / "datasets" / f"{name}.npz", **arrays)
    monkeypatch.setenv("KERAS_HOME", str(folder))
    return ["--set", "dataset.validation=0.2"]


def check(run, is_control, keeps_best):
    done = [candidate for candidate in xt.load_run(run).candidates() if candidate.state == "done"]
    assert len(done) == 2
    for candidate in done:
        assert len(candidate.history) == 3
        assert {*candidate.objectives} == {"error", *([] if is_control else ["introspectability"])}
        assert 0 <= candidate.value("introspectability") <= 2
        if keeps_best:
            accuracies = [epoch["val_accuracy"] for epoch in candidate.history]
            assert candidate.objectives["error"] == pytest.approx(1 - max(accuracies))
            assert accuracies[candidate.kept_epoch - 1] == max(accuracies)


@pytest.mark.parametrize("suffix", ["", "-control"])
@pytest.mark.parametrize("name", ["mnist", "cifar10", "imagenet16-120"])
def test_it_runs_from_end_to_end(name, suffix, tmp_path, monkeypatch):
    data = data_options(name, tmp_path, monkeypatch)
    words = ["search", ROOT / f"configs/xnas-{name}{suffix}.yaml", *data, *SMALL]
    xnas(*words, "--run-dir", tmp_path / "run", cwd=tmp_path)
    check(tmp_path / "run", bool(suffix), name == "cifar10")


@needs_horovod
def test_it_runs_on_two_ranks(tmp_path, monkeypatch):
    data = data_options("cifar10", tmp_path, monkeypatch)
    words = ["search", ROOT / "configs/xnas-cifar10.yaml", *data, *SMALL]
    horovodrun(*words, "--run-dir", tmp_path / "run", cwd=tmp_path)
    check(tmp_path / "run", is_control=False, keeps_best=True)
