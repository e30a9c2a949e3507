"""Logarithmic axes: the same ones in figures and on pages, and their titles say so."""

import numpy as np
import pytest

from tests.datasets import saved_run
from tests.unit.test_front import candidates
from xnas_tf.config import load_config
from xnas_tf.figures.axis_scale import logarithmic
from xnas_tf.figures.front_figure import front_figure, front_info
from xnas_tf.figures.parallel_figure import uprights
from xnas_tf.figures.progress import history_figure
from xnas_tf.reporting.html.search import search_data
from xnas_tf.strategy.pareto import ordered_front

CONFIG = load_config(
    overrides=["objectives=[error, introspectability, parameters]", "record=[flops, latency]"]
)
ROWS = [(0.0685, 0.001, 1e2), (0.0822, 0.7147, 1e3), (0.3, 0.8, 9e4)]
WIDE = {"parameters", "flops"}


def everyone():
    """Error, introspectability and latency span less, or are bounded; the others span 900."""
    found = candidates(CONFIG, ROWS)
    for each, (_, _, parameters) in zip(found, ROWS, strict=True):
        each.metrics.update(flops=50 * parameters, latency=parameters**0.5)
    return found


def test_only_sizes_and_times_that_span_much_are_logarithmic():
    measures = [*CONFIG.objectives, *CONFIG.record]
    assert logarithmic(everyone(), measures) == WIDE
    assert logarithmic(everyone()[:2], measures) == set()
    assert logarithmic([], measures) == set()
    zero = everyone()
    zero[0].objectives["parameters"] = 0.0
    assert logarithmic(zero, measures) == {"flops"}
    unsure = everyone()
    unsure[0].metrics["flops/standard_error"] = 1.0
    assert logarithmic(unsure, measures) == {"parameters"}
    failed = everyone()
    failed[2].state = "failed"
    assert logarithmic(failed, measures) == set()


@pytest.mark.parametrize("span", ["wide", "narrow"])
def test_figures_and_the_page_have_the_same_axes(tmp_path, span):
    found = everyone() if span == "wide" else everyone()[:2]
    run, front = saved_run(tmp_path / "run", CONFIG, found), ordered_front(found, CONFIG)
    page = search_data(run, run.snapshot())
    expected = [False, False, span == "wide"]
    assert [each["log"] for each in page["objectives"]] == expected
    assert dict(zip(page["measured"], page["measured_log"], strict=True)) == {
        **{title: False for title in page["measured"]},
        "flops ↓ (recorded)": span == "wide",
    }
    info = front_info(found, front, CONFIG, None)
    assert ["(log scale)" in title for title in info.titles] == expected
    panels = [axis for axis in front_figure(info).axes if axis.axison]  # row by row
    scales = {axis.get_ylabel(): axis.get_yscale() for axis in panels if axis.get_ylabel()}
    last = "parameters ↓ (log scale)" if span == "wide" else "parameters ↓"
    assert scales == {
        "introspectability ↑": "linear",
        last: "log" if span == "wide" else "linear",
    }
    assert {axis.get_xscale() for axis in panels} == {"linear"}
    labels = [label.get_text() for axis in panels for label in axis.get_yticklabels(which="both")]
    assert ("1,000" in labels) == (span == "wide") and not any("$" in label for label in labels)
    history = history_figure(found, CONFIG).axes
    assert [axis.get_yscale() == "log" for axis in history[:3]] == expected
    heights = [upright.heights for upright in uprights(found, CONFIG)][-1]
    values = np.array([each.objectives["parameters"] for each in found])
    places = np.log10(values) if span == "wide" else values
    np.testing.assert_allclose(heights, 1 - (places - places[0]) / (places[-1] - places[0]))
