"""The quickstart's front that the tutorial shows is the one that the code finds."""

import json
import re

import pytest

from tests.documented import ROOT, blocks
from tests.e2e.conftest import xnas

ONE_THREAD = ("--set", "distributed.threads_per_rank=1")  # as the page says
SOURCES = ("grad_cam", "integrated_gradients")


def shown_front(text):
    """The rows of a table as printed: id with its stars, then the numbers."""
    rows = re.findall(r"^ +(\d+\**) +((?:[\d.%]+ *)+)$", text, re.MULTILINE)
    return {number: values.split() for number, values in rows}


@pytest.mark.long
def test_the_tutorial_shows_the_front_that_is_found(tmp_path):
    config = ROOT / "configs" / "quickstart.yaml"
    xnas("search", config, *ONE_THREAD, "--run-dir", "runs/quickstart", cwd=tmp_path)
    listed = json.loads(xnas("pareto", "runs/quickstart", "--format", "json", cwd=tmp_path).stdout)
    found = {}
    for candidate in listed["candidates"]:
        values, metrics = candidate["objectives"], candidate["metrics"]
        name = f"{candidate['id']}*{'*' * candidate['recommended']}"
        found[name] = [
            *(f"{values[objective]:.4f}" for objective in ("error", "introspectability")),
            *(f"{metrics[f'introspectability/{s}']:.4f}" for s in SOURCES),
            f"{metrics['test_accuracy']:.2%}",
        ]
    (page,) = (
        text
        for text in blocks(ROOT / "docs/tutorials/digits.md", "text")
        if "introspectability ↑" in text
    )
    assert shown_front(page) == found, "the page shows another front: see docs/tutorials/digits.md"
    line = f"recommended: candidate {listed['recommended']} ({listed['why']})"
    assert line in page
