"""A user's own images, from the first look to a search."""

import json
import subprocess
import sys

import pytest

from tests.e2e.conftest import ROOT, environment, tiny, xnas
from tests.pictures import make_folder, picture, spoil


@pytest.fixture
def pets(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make_folder(tmp_path / "pets", {"cat": 30, "dog": 30})


def test_problems_are_shown_and_a_search_runs_all_the_same(pets, tmp_path):
    corrupt = spoil(pets)
    named = [*corrupt, "dog/grey.png", "cat/wide.png", "unicorn"]
    done = xnas("data", "folder:pets", "--out", "pets.png", cwd=tmp_path)
    assert all(name in done.stdout for name in named)
    assert (tmp_path / "pets.png").read_bytes().startswith(b"\x89PNG")

    words = tiny("dataset=folder:pets", "search={candidates: 2, population: 2}")
    done = xnas("search", *words, "--run-dir", "run", cwd=tmp_path)
    assert all(name in done.stderr for name in named)
    listed = json.loads(xnas("pareto", "run", "--format", "json", cwd=tmp_path).stdout)
    assert listed["candidates"]
    xnas("explain", "run", "pets/cat/large.png", "--images", "pets/dog/grey.png", cwd=tmp_path)


def test_keras_data_sets_without_cache_and_network_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")  # where nothing listens
    said = xnas("data", "keras:cifar10", cwd=tmp_path, code=2).stderr
    assert "could not be downloaded" in said and f"{tmp_path}/keras/datasets/cifar10.npz" in said


POOLED = '''
import keras
import keras_tuner


class Pooled(keras_tuner.HyperModel):
    """Looks at squares of 64 pixels, so that the images are what needs memory."""

    def __init__(self, input_shape, classes):
        super().__init__()
        self.shape, self.classes = input_shape, classes

    def build(self, hp):
        layers = keras.layers
        width = hp.Int("width", 2, 8)
        return keras.Sequential(
            [
                keras.Input(self.shape),
                layers.AveragePooling2D(64),
                layers.Conv2D(width, 3, padding="same", activation="relu"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(self.classes),
            ]
        )
'''
STREAMED = """
import os
import resource
import sys

import numpy as np
import xnas_tf as xt
from xnas_tf.training import predictor as prediction
from xnas_tf.reporting import final_evaluation as finish

os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])  # each thread takes memory for its stack
prediction.BATCH, finish.SHOWN = 4, 1
LIMIT = 48 * 2**20


def search(size, run):
    settings = [
        f"dataset={{name: 'folder:large', size: {size}}}",
        "space={hypermodel: 'pooled:Pooled'}",
        "objectives=[error, parameters]",
        "training={epochs: 1, batch_size: 16}",
        "search={candidates: 2, population: 2}",
    ]
    return xt.search(xt.Config(), run, settings)


search(64, "small")  # what TensorFlow takes whatever the images
with open("/proc/self/status") as status:
    (used,) = [int(line.split()[1]) * 1024 for line in status if line.startswith("VmData")]
resource.setrlimit(resource.RLIMIT_DATA, (used + LIMIT, used + LIMIT))
run = search(128, "large-run")
assert [candidate.state for candidate in run.candidates()] == ["done", "done"]
data = xt.load_dataset("folder:large", size=128)
pixels = sum(int(np.prod(part.images.shape)) for part in data.parts.values())
assert pixels >= 10 * LIMIT, pixels / LIMIT
try:
    held = [data.train.images[row : row + 2] for row in range(0, len(data.train), 2)]
except MemoryError:
    print("streamed")
else:
    sys.exit(f"{len(held)} batches are held in spite of the limit")
"""


@pytest.mark.long
def test_data_ten_times_larger_than_memory_streams_through_a_search(tmp_path, monkeypatch):
    """The limit is on what the process takes beyond a search on small images; that the images
    cannot be held in memory shows that it works."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number in range(10_300):
        file = tmp_path / "large" / "ab"[number % 2] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture(number % 2, number).resize((128, 128)).save(file)
    (tmp_path / "pooled.py").write_text(POOLED)
    done = subprocess.run(
        [sys.executable, "-c", STREAMED],
        cwd=tmp_path,
        # Freed images go back to the system, or later ones hide in what others have left.
        env={**environment(), "PYTHONPATH": str(ROOT), "MALLOC_MMAP_THRESHOLD_": "131072"},
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert done.stdout.endswith("streamed\n"), (done.returncode, done.stderr[-3000:])
