"""Draws the pictures of docs/images with today's code.

python tools/docs_pictures.py [--work FOLDER] [--photographs NPZ] [NAME ...]

Each name below draws one picture or a group of pictures, with the commands that a reader would
type. Runs, models and results are kept in FOLDER (runs/docs-pictures). An interrupted call can be
resumed, and existing results are not computed again. Remove FOLDER to start again. All seeds are
fixed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
FLINT = ("relevance", "attributes", "conciseness", "explanations", "disagreements")


@dataclass
class Work:
    """The folder, the finished quickstart and the commands that all pictures need."""

    folder: Path
    photographs: Path | None

    def xnas(self, *words: object) -> None:
        """Print a command, and run it from the root of the repository."""
        given = [str(word) for word in words]
        print("  xnas-tf", *given, flush=True)
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "xnas_tf", *given]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)

    def made(self, name: str, *words: object) -> Path:
        """Run a command unless its ``--out`` folder exists, and return that folder."""
        out = self.folder / name
        if not out.exists():
            self.xnas(*words, "--out", out)
        return out

    @property
    def run(self) -> Path:
        """The run of the quickstart, searched with its own seed."""
        run = self.folder / "quickstart"
        if not (run / "pictures-ready").exists():
            self.xnas("search", "configs/quickstart.yaml", "--run-dir", run)
            (run / "pictures-ready").touch()
        return run

    def model(self, name: str, dataset: str, make: Callable, epochs: int) -> Path:
        """Return the file of a model, trained as in benchmarks/nad.py."""
        path = self.folder / f"{name}.keras"
        if not path.exists():
            import keras
            from nad import trained

            from xnas_tf.data import load_dataset

            print(f"  training {path.name}: {epochs} epochs on {dataset}", flush=True)
            keras.utils.set_random_seed(0)
            data = load_dataset(dataset)
            model, optimizer = make(data)
            trained(model, data, optimizer, epochs).save(path)
        return path


def front(work: Work) -> None:
    out = work.folder / "front.png"
    work.xnas("pareto", work.run, "--plot", out)
    copy(out, "tutorial-front.png")


def explain(work: Work) -> None:
    copy(work.made("explained", "explain", work.run) / "overview-1.png", "tutorial-explain.png")


def attributes(work: Work) -> None:
    made = work.made("interpreted", "interpret", work.run)
    copy(made / "attributes.png", "tutorial-attributes.png")


def quickstart(work: Work) -> None:
    front(work)
    explain(work)
    left, right = (IMAGES / f"tutorial-{name}.png" for name in ("front", "explain"))
    save(row([Image.open(left), Image.open(right)], height=425), "quickstart.png")


def report(work: Work) -> None:
    """Draw the front with a card, and the recommended model, as screenshots from Chromium."""
    from playwright.sync_api import sync_playwright

    page = work.folder / "report.html"
    work.xnas("report", work.run, "--out", page)
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    shots = [work.folder / f"report-{side}.png" for side in ("front", "model")]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        view = chromium.new_page(viewport={"width": 900, "height": 1180})
        view.goto(page.resolve().as_uri())
        view.locator("#front circle.front").last.focus()
        view.screenshot(path=shots[0])
        view.keyboard.press("Escape")
        model = view.locator("details[id^='model-']").first
        model.evaluate("each => { each.open = true; each.scrollIntoView(); }")
        model.locator("img").first.wait_for()
        view.screenshot(path=shots[1])
        chromium.close()
    save(row([Image.open(shot) for shot in shots], height=1180, gap=20), "report.png")


def explain_mnist(work: Work) -> None:
    made = work.made("explained-all", "explain", work.run, "--method", "all")
    copy(made / "overview-1.png", "explain-mnist.png")


def explain_cifar10(work: Work) -> None:
    """Draw explanations of CIFAR-10 images, a few thousand of which are in the .npz file."""
    if work.photographs is None:
        print("  left out: give the images with --photographs NPZ")
        return
    dataset = f"npz:{work.photographs.resolve()}"
    path = work.model("photographs", dataset, cell_of_16, epochs=8)
    words = ["explain", path, "--dataset", dataset, "--method", "all"]
    copy(work.made("explained-photographs", *words) / "overview-1.png", "explain-cifar10.png")


def nad(work: Work) -> None:
    """Draw paths with the default limit on false alarms above, and without a limit below."""
    path = work.model("cell", "mnist5k", cell_of_16, epochs=3)
    words = ["disentangle", path, "--dataset", "mnist5k", "--images", 100, "--epochs", 10]
    both = [
        work.made("paths", *words),
        work.made("paths-no-limit", *words, "--false-alarms", 1),
    ]

    def rows(*names: str) -> Image.Image:
        return column([row([Image.open(f / f"{name}.png") for name in names]) for f in both])

    save(rows("kept", "layer_similarity", "hit_rate"), "nad-depth.png")
    save(rows("similarity"), "nad-similarity.png")
    save(rows("paths"), "nad-paths.png")
    for name in ("collages", "mistakes"):
        copy(both[0] / f"{name}.png", f"nad-{name}.png")


def flint(work: Work) -> None:
    path = work.model("predictor", "mnist5k", paper_predictor, epochs=8)
    made = work.made("attributes", "interpret", path, "--dataset", "mnist5k")
    for name in FLINT:
        copy(made / f"{name}.png", f"flint-{name}.png")


def findings(_: Work) -> None:
    """Draw the Pareto fronts of the table's networks."""
    table = "xnas_tf/benchmark/tables/digits.csv.gz"
    script = [sys.executable, "benchmarks/table_findings.py", table]
    command = [*script, "--figure", IMAGES / "findings.png"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def claim(_: Work) -> None:
    """Draw the effects of the searches of docs/claim.md."""
    command = [sys.executable, "benchmarks/claim.py", "report", "--data", "digits", "shapes"]
    subprocess.run(
        [*command, "--figure", IMAGES / "claim.png"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def debuggability(work: Work) -> None:
    """Draw the examples of debuggability, which takes hours and is done only on request."""
    script = [sys.executable, "benchmarks/debuggability.py"]
    subprocess.run([*script, "--figure", IMAGES / "debuggability.png"], cwd=ROOT, check=True)


def cell_of_16(data):
    """Build the NAS-Bench-201 network of benchmarks/nad.py."""
    import keras
    from common import CONVOLUTIONS, cell_network

    network = cell_network(CONVOLUTIONS, data.image_shape, 16)
    return network, keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)


def paper_predictor(data):
    """Build the predictor of benchmarks/flint.py."""
    import keras
    from flint import predictor

    return predictor(data, seed=0), keras.optimizers.Adam(1e-3)


def row(pictures: Sequence[Image.Image], height: int = 0, gap: int = 0) -> Image.Image:
    """Place pictures side by side, scaled to the same height in pixels, by default the largest."""
    height = height or max(each.height for each in pictures)
    scaled = [each.resize((round(each.width * height / each.height), height)) for each in pictures]
    whole = Image.new("RGB", (sum(p.width for p in scaled) + gap * (len(scaled) - 1), height))
    whole.paste("white" if gap == 0 else "grey", (0, 0, *whole.size))
    left = 0
    for each in scaled:
        whole.paste(each, (left, 0))
        left += each.width + gap
    return whole


def column(pictures: Sequence[Image.Image]) -> Image.Image:
    """Place pictures below each other."""
    whole = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)))
    whole.paste("white", (0, 0, *whole.size))
    top = 0
    for each in pictures:
        whole.paste(each, (0, top))
        top += each.height
    return whole


def copy(source: Path, name: str) -> None:
    save(Image.open(source), name)


def save(picture: Image.Image, name: str) -> None:
    picture.convert("RGB").save(IMAGES / name, optimize=True)
    print(f"  drew docs/images/{name}, {picture.width}x{picture.height}")


PICTURES: dict[str, Callable[[Work], None]] = {
    "front": front,
    "explain": explain,
    "attributes": attributes,
    "quickstart": quickstart,
    "report": report,
    "explain-mnist": explain_mnist,
    "explain-cifar10": explain_cifar10,
    "nad": nad,
    "flint": flint,
    "findings": findings,
    "claim": claim,
    "debuggability": debuggability,
}
ON_REQUEST = ("debuggability",)
DRAWN = {
    "front": ("tutorial-front",),
    "explain": ("tutorial-explain",),
    "attributes": ("tutorial-attributes",),
    "nad": ("nad-depth", "nad-similarity", "nad-paths", "nad-collages", "nad-mistakes"),
    "flint": tuple(f"flint-{name}" for name in FLINT),
}
"""The pictures that each name draws, unless it is a single picture of the same name."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = [name for name in PICTURES if name not in ON_REQUEST]
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(PICTURES)}; all but {ON_REQUEST[0]}"
    )
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "docs-pictures")
    parser.add_argument("--photographs", type=Path, metavar="NPZ", help="for explain-cifar10")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in PICTURES]:
        parser.error(f"unknown: {', '.join(unknown)}; allowed: {', '.join(PICTURES)}")
    sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
    work = Work(given.work.resolve(), given.photographs)
    work.folder.mkdir(parents=True, exist_ok=True)
    for name in given.names or default:
        begin = time.perf_counter()
        print(name, flush=True)
        PICTURES[name](work)
        print(f"  {time.perf_counter() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
