"""TensorBoard on a finished run, in a real browser."""

import re
import subprocess

import pytest

from tests.e2e.conftest import BIN, environment


@pytest.fixture(scope="module")
def board(finished):
    """The address of a TensorBoard on the finished run."""
    process = subprocess.Popen(
        [str(BIN / "tensorboard"), "--logdir", str(finished[0] / "tensorboard")]
        + ["--host", "127.0.0.1", "--port", "0"],
        env={**environment(), "TF_CPP_MIN_LOG_LEVEL": "2"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stderr:
            if found := re.search(r"http://127.0.0.1:\d+/", line):
                yield found[0]
                break
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("tab", "texts"),
    [
        ("timeseries", ["accuracy/training", "accuracy/validation", "candidate-00001"]),
        ("scalars", ["best/error", "best/introspectability", "accuracy/validation"]),
        ("hparams", ["edge_0_1", "introspectability", "candidate 1"]),
    ],
)
def test_curves_and_hyperparameters_show(board, page, tab, texts):
    page.goto("about:blank")
    page.goto(f"{board}#{tab}")
    for text in texts:
        shown = page.get_by_text(text).locator("visible=true").first
        shown.wait_for(timeout=60_000)


def test_attributions_and_the_front_show_as_pictures(board, page):
    page.goto("about:blank")
    page.goto(f"{board}#images")
    picture = page.locator("img[src*='images']").locator("visible=true").first
    picture.wait_for(timeout=60_000)
    page.wait_for_function("image => image.naturalWidth > 200", arg=picture.element_handle())
    titles = page.locator(".group-title, h3, [title]").evaluate_all("all => all.map(e => e.title)")
    assert {"attributions", "front"} <= set(titles)
