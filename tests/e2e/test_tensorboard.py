"""TensorBoard on a finished run, in a real browser."""

import re
import subprocess

import pytest
from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

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
        ("hparams", ["edge_0_1", "introspectability", "test accuracy", "seconds", "candidate 1"]),
    ],
)
def test_curves_and_hyperparameters_show(board, page, tab, texts):
    page.goto("about:blank")
    page.goto(f"{board}#{tab}")
    for text in texts:
        shown = page.get_by_text(text).locator("visible=true").first
        shown.wait_for(timeout=60_000)


def test_hypervolume_is_there_for_every_answer_once_generation_0_is_complete(board, page):
    query = {"run": "search", "tag": "front/hypervolume by answer"}
    points = page.request.get(f"{board}data/plugin/scalars/scalars", params=query).json()
    _, answers, volumes = zip(*points, strict=True)
    assert answers == (2, 3, 4)
    assert volumes[-1] > 0


def test_attributions_and_the_front_show_as_pictures(board, page):
    page.goto("about:blank")
    page.goto(f"{board}#images")
    picture = page.locator("img[src*='images']").locator("visible=true").first
    picture.wait_for(timeout=60_000)
    page.wait_for_function("image => image.naturalWidth > 200", arg=picture.element_handle())
    titles = page.locator(".group-title, h3, [title]").evaluate_all("all => all.map(e => e.title)")
    assert {"attributions", "front"} <= set(titles)


def test_the_graph_of_a_pareto_optimal_model_shows(board, page):
    page.goto("about:blank")
    page.goto(f"{board}#graphs")
    page.locator("svg .node").locator("visible=true").first.wait_for(timeout=60_000)
    names = page.locator("svg .node title").all_text_contents()
    assert any("nas_bench_201" in name for name in names), names


def test_a_profile_was_taken_on_request(finished):
    (file,) = (finished[0] / "tensorboard").glob("plugins/profile/*/*.xplane.pb")
    space = XSpace.FromString(file.read_bytes())
    names = {entry.name for plane in space.planes for entry in plane.event_metadata.values()}
    assert any("Conv2D" in name for name in names)
