"""Whether the recommended candidate is a good one: ten searches on small data sets.

python benchmarks/recommendation.py [--only shapes,two] [--seeds 2] [--lines FILE] [--folder FOLDER]

Searches, with two seeds each, on scikit-learn's digits, mnist5k, pictures of three shapes, an
imbalanced set of three classes and a set of two: at most 8 candidates for error and
introspectability, in NAS-Bench-201's cells or, where a user would bring a model, with the
HyperModel that docs/models.md begins with. Prints a row a search: which candidate is recommended,
its test accuracy, the best test accuracy on the front, and the share of the commonest class in
the test part. The recommendation knows the validation part alone. With --lines what is done is
kept, a line of JSON a search, and not searched again. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import xnas_tf as xt  # noqa: E402
from xnas_tf.utils.intervals import better_than_chance  # noqa: E402

POINTS = 5.0
"""Percentage points that the recommended model may be below the best on its front."""
CELLS = "space={name: nas_bench_201, channels: 8, cells_per_stack: 1}"
HYPERMODEL = "space={hypermodel: 'mine:MyModel'}"
FIXED = ["objectives=[error, introspectability]", "search.candidates=8", "search.population=4"]


def shapes(seed: int) -> dict[str, np.ndarray]:
    """96 noisy pictures each of circles, squares and triangles, 48x48, in any two colours."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(seed)
    images = []
    labels = np.repeat(np.arange(3), 96)
    for label in labels:
        size = int(rng.integers(14, 30))
        left, top = (int(each) for each in rng.integers(2, 46 - size, 2))
        ground, colour = (tuple(map(int, rng.integers(*r, 3))) for r in ((0, 110), (120, 256)))
        picture = Image.new("RGB", (48, 48), ground)
        draw = ImageDraw.Draw(picture)
        right, bottom = left + size, top + size
        if label == 0:
            draw.ellipse((left, top, right, bottom), fill=colour)
        elif label == 1:
            draw.rectangle((left, top, right, bottom), fill=colour)
        else:
            draw.polygon([(left, bottom), (right, bottom), (left + size // 2, top)], fill=colour)
        noisy = np.asarray(picture, float) + rng.normal(0, 14, (48, 48, 3))
        images.append(noisy.clip(0, 255).astype(np.uint8))
    return {
        "x": np.stack(images),
        "y": labels,
        "class_names": np.array(["circle", "square", "triangle"]),
    }


def imbalanced(seed: int) -> dict[str, np.ndarray]:
    """Digits 0, 1 and 2, of which ten, three and one in ten are kept."""
    images, labels = _digits()
    rng = np.random.default_rng(seed)
    parts = []
    for digit, share in ((0, 1.0), (1, 0.3), (2, 0.1)):
        places = rng.permutation(np.flatnonzero(labels == digit))
        parts.append(places[: round(share * len(places))])
    places = np.concatenate(parts)
    return {"x": images[places], "y": labels[places]}


def two(_: int) -> dict[str, np.ndarray]:
    """The digits 3 and 8."""
    images, labels = _digits()
    places = np.flatnonzero(np.isin(labels, (3, 8)))
    return {"x": images[places], "y": (labels[places] == 8).astype(int)}


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return np.rint(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), labels


class Task(NamedTuple):
    """A search: its data, made or by name, its space, and how it is trained."""

    data: str | Callable[[int], dict[str, np.ndarray]]
    space: str
    epochs: int
    batch_size: int = 48


TASKS = {
    "digits": Task("digits", CELLS, 5),
    "mnist5k": Task("mnist5k", CELLS, 3),
    "shapes": Task(shapes, HYPERMODEL, 10, 16),
    "imbalanced": Task(imbalanced, CELLS, 10),
    "two": Task(two, HYPERMODEL, 10, 16),
}


def write_model(folder: Path) -> None:
    """Puts the HyperModel of docs/models.md where it can be imported as ``mine``."""
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    shown = re.search(r"```python\n(# mine\.py\n.*?)```", page, re.DOTALL)
    assert shown
    (folder / "mine.py").write_text(shown[1], encoding="utf-8")
    sys.path.insert(0, str(folder))


def searched(name: str, seed: int, folder: Path) -> dict[str, object]:
    """Searches once, and compares what is recommended with the rest of the front."""
    task, place = TASKS[name], folder / f"{name}-{seed}"
    data = task.data
    if callable(data):
        file = folder / f"{name}-{seed}.npz"
        if not file.is_file():
            np.savez(file, **data(seed))
        data = f"npz:{file}"
    training = f"training={{epochs: {task.epochs}, batch_size: {task.batch_size}}}"
    own = [f"dataset={data}", task.space, training, f"search.seed={seed}"]
    run = xt.search(None, place, [*FIXED, *own])
    assert run is not None  # there is one rank
    counts = xt.load_dataset(**run.config.dataset.model_dump()).counts["test"]
    accuracies = {c.id: c.metrics["test_accuracy"] for c in run.pareto()}
    found = run.recommendation()
    mine = None if found.id is None else accuracies[found.id]
    learned = {
        number: better_than_chance(accuracy * counts.sum(), counts.sum(), counts.max())
        for number, accuracy in accuracies.items()
    }
    return {
        "task": name,
        "seed": seed,
        "recommended": found.id,
        "why": found.why,
        "test_accuracy": mine,
        "best": max(accuracies.values()),
        "front": list(accuracies.values()),
        "chance": float(counts.max() / counts.sum()),
        "test_images": int(counts.sum()),
        "near": mine is not None and mine >= max(accuracies.values()) - POINTS / 100 - 1e-9,
        "at_chance": any(learned.values()) and not learned.get(found.id or 0, False),
    }


def row(found: dict[str, object]) -> str:
    """A search in one line."""
    mine = found["test_accuracy"]
    shown = "none  " if mine is None else f"{mine:6.1%}"
    return (
        f"{found['task']:<11} {found['seed']:>4} {found['recommended'] or '-':>11} {shown:>13} "
        f"{found['best']:>17.1%} {len(found['front']):>5} {found['chance']:>7.1%} "
        f"{'yes' if found['near'] else 'NO':>15} {'YES' if found['at_chance'] else 'no':>9}"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=",".join(TASKS), help="tasks, separated by commas")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--lines", type=Path, help="a file of JSON lines to go on with")
    parser.add_argument("--folder", type=Path, help="keeps data and runs; default: a temporary one")
    options = parser.parse_args()
    done = []
    if options.lines and options.lines.is_file():
        done = [json.loads(line) for line in options.lines.read_text().splitlines()]
    known = {(found["task"], found["seed"]): found for found in done}
    print(
        f"{'task':<11} {'seed':>4} {'recommended':>11} {'test accuracy':>13} "
        f"{'best on the front':>17} {'front':>5} {'chance':>7} {'within 5 points':>15} at chance"
    )
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        write_model(folder)
        for name in options.only.split(","):
            for seed in range(options.seeds):
                if (name, seed) not in known:
                    known[name, seed] = searched(name, seed, folder)
                    if options.lines:
                        with options.lines.open("a") as file:
                            file.write(json.dumps(known[name, seed]) + "\n")
                rows.append(known[name, seed])
                print(row(rows[-1]), flush=True)
    figures = {
        "searches": len(rows),
        "recommended": sum(found["recommended"] is not None for found in rows),
        "within_5_points": sum(bool(found["near"]) for found in rows),
        "at_chance": sum(bool(found["at_chance"]) for found in rows),
        "largest_gap": max(
            (found["best"] - found["test_accuracy"] for found in rows if found["recommended"]),
            default=None,
        ),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
