"""From the README to a search on one's own folder of images, as a new user goes."""

import re

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import xnas_tf as xt
from tests.e2e.conftest import ROOT, xnas


def block(text, kind, number=0):
    """A block of code of a Markdown text, without comments at its top."""
    found = re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)[number]
    return re.sub(r"\A# .*\n", "", found)


@pytest.fixture
def folder(tmp_path):
    """A folder with 30 real digits of each of three classes, with the documented files."""
    digits = load_digits()
    for label in range(3):
        (tmp_path / "pets" / f"kind {label}").mkdir(parents=True)
        for i in np.flatnonzero(digits.target == label)[:30]:
            image = Image.fromarray((digits.images[i] * 15.9).astype(np.uint8))
            image.resize((16, 16)).save(tmp_path / "pets" / f"kind {label}" / f"{i}.png")
    docs = (ROOT / "docs/tutorials/my-hypermodel.md").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(block(docs, "python"))
    (tmp_path / "pets.yaml").write_text(block(docs, "yaml"))
    return tmp_path


def test_the_documented_way_to_a_search_on_a_folder(folder):
    written = (folder / "pets.yaml").read_text()
    readme = block((ROOT / "README.md").read_text(encoding="utf-8"), "yaml")
    settings = [
        [line.partition("#")[0].strip() for line in t.splitlines()] for t in (written, readme)
    ]
    assert settings[0] == settings[1] and len(settings[0]) <= 10
    assert "kind 2" in xnas("data", "pets.yaml", cwd=folder).stdout
    less = {"training.epochs": 1, "search.candidates": 2, "objectives.1.images": 16}
    words = [word for key, value in less.items() for word in ("--set", f"{key}={value}")]
    done = xnas("search", "pets.yaml", *words, cwd=folder)
    assert "test accuracy" in done.stdout
    run = xt.load_run(folder / "runs/pets")
    assert [c.state for c in run.candidates()].count("done") == 2
    assert all("blocks" in c.hyperparameters for c in run.candidates())
