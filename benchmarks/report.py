"""Measures the time to write and to open a report on many candidates.

python benchmarks/report.py [--candidates 10000] [--objectives 2]

The run is made up. Its candidates are different NAS-Bench-201 cells, with parents, failures,
metrics of each epoch and the times of eight groups. Objectives depend on the operations and on
chance. The report is written without models, whereas a real report opens eight of them. Then it is
opened in headless Chromium, if that is installed, to measure the milliseconds until the first paint
and until all sections are drawn. The last line of the output is JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np

import xnas_tf as xt
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.spaces.cells import EDGES, OPERATIONS, format_genotype
from xnas_tf.storage.run_directory import open_database

OBJECTIVES = ["error", "introspectability", "parameters", "flops", "deletion"]
GROUPS, EPOCHS = 8, 3
REASONS = {"failed": "the validation loss became nan in epoch 1", "infeasible": "no path"}
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)


def made_up(number: int, places: np.ndarray, names: list[str], rng: np.random.Generator):
    """Return a made-up candidate that has ended."""
    cell = {edge: OPERATIONS[place] for edge, place in zip(EDGES, places, strict=True)}
    state = rng.choice(["done", "failed", "infeasible"], p=[0.93, 0.04, 0.03])
    weights = np.random.default_rng(7).random((len(names), len(EDGES), len(OPERATIONS)))
    values = weights[:, np.arange(len(EDGES)), places].mean(axis=1)
    values += 0.05 * rng.standard_normal(len(names))
    started = BEGIN + timedelta(seconds=30 * (number // GROUPS) + float(rng.random()))
    return Candidate(
        number,
        format_genotype(cell),
        cell,
        parents=tuple(rng.integers(1, number, 2).tolist()) if number > 64 else (),
        generation=(number - 1) // 64,
        epochs=EPOCHS,
        state=str(state),
        reason=REASONS.get(str(state), ""),
        objectives=dict(zip(names, values.tolist(), strict=True)) if state == "done" else {},
        metrics={f"figure {i}": float(rng.random()) for i in range(10)},
        seconds={"train": 27.0, "wait": 1.0},
        history=[dict.fromkeys(("loss", "val_loss", "accuracy"), 0.5)] * EPOCHS,
        started=started.isoformat(timespec="milliseconds"),
        finished=(started + timedelta(seconds=28)).isoformat(timespec="milliseconds"),
        group=number % GROUPS,
        finish_order=number,
    )


def make_run(path: Path, count: int, names: list[str]) -> xt.Run:
    """Record a made-up run."""
    config = load_config(
        overrides=[f"objectives=[{', '.join(names)}]", f"training.epochs={EPOCHS}"]
        + [f"search={{candidates: {count}}}"]
    )
    rng = np.random.default_rng(0)
    cells = rng.permutation(len(OPERATIONS) ** len(EDGES))[:count]
    places = np.stack(np.unravel_index(cells, [len(OPERATIONS)] * len(EDGES)), axis=1)
    record = open_database(path, config)
    with record.transaction():
        for number, row in enumerate(places, start=1):
            record.save(made_up(number, row, names, rng))
    record.close()
    return xt.load_run(path)


def opened(page: Path) -> dict[str, float]:
    """Return milliseconds to the first paint and until all is drawn; empty without Chromium."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        return {}
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        view = browser.new_page(viewport={"width": 1400, "height": 1000})
        view.goto(page.resolve().as_uri())
        view.wait_for_selector("body[data-ready]", timeout=120_000)
        drawn = view.evaluate("performance.now()")
        view.wait_for_timeout(500)
        first = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        found = {"first_paint_ms": round(view.evaluate(first)), "all_drawn_ms": round(drawn)}
        browser.close()
    return found


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--objectives", type=int, default=2, choices=range(1, len(OBJECTIVES) + 1))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder) / "run", given.candidates, OBJECTIVES[: given.objectives])
        begun = time.perf_counter()
        page = xt.save_report(run, models=0)
        figures = {
            "candidates": given.candidates,
            "objectives": given.objectives,
            "seconds": round(time.perf_counter() - begun, 1),
            "megabytes": round(page.stat().st_size / 1e6, 2),
            **opened(page),
        }
    for name, value in figures.items():
        print(f"{name:15} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
