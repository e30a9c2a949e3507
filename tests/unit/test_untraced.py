"""What runs too few times to be traced gives what it would give traced."""

import numpy as np
import pytest
import tensorflow as tf

import xnas_tf.keras_tools.tracing
from tests.conftest import left_to_all
from tests.datasets import make_dataset
from tests.spaces import small_cells
from xnas_tf.attribution import activations, explainer
from xnas_tf.attribution.grad_cam import GradCAM, GradCAMPlusPlus
from xnas_tf.attribution.gradient_input import GradientInput
from xnas_tf.attribution.integrated_gradients import IntegratedGradients
from xnas_tf.attribution.smooth_grad import SmoothGrad
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.spaces.cells import EDGES, OPERATIONS, live_edges
from xnas_tf.spaces.nas_bench_201 import NASBench201
from xnas_tf.spaces.search_space import SearchSpace


def random_cell(rng):
    """A cell that is a network."""
    while True:
        cell = {edge: str(rng.choice(OPERATIONS)) for edge in EDGES}
        if live_edges(cell):
            return cell


def evaluated(cell, space, seed, few_runs, monkeypatch):
    """The outcome, and how often TensorFlow was asked to trace something."""
    dataset, traced = make_dataset(), []
    config = load_config(
        overrides=[
            "training={epochs: 1, batch_size: 64, optimizer: adam, learning_rate: 0.01}",
            "objectives=[error, {name: introspectability, sources: [activations]}]",
        ]
    )
    evaluator = Evaluator(config, dataset, space, SingleProcess())
    function = tf.function

    def noted(*args, **options):
        traced.append(args)
        return function(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(xnas_tf.keras_tools.tracing, "FEW_RUNS", few_runs)
        patch.setattr(activations, "FEW_RUNS", few_runs)
        patch.setattr(tf, "function", noted)
        outcome = evaluator.evaluate(Candidate(1, "cell", cell, seed=seed, epochs=1))
    assert outcome.state == "done", outcome.reason
    return outcome, len(traced)


@pytest.mark.parametrize("number", [0, *left_to_all(1, 2, 3)])
def test_it_agrees_with_what_is_traced(number, monkeypatch):
    rng = np.random.default_rng(number)
    cell, space = random_cell(rng), small_cells(int(rng.integers(2, 5)))
    short, none = evaluated(cell, space, number, 4, monkeypatch)
    usual, some = evaluated(cell, space, number, 0, monkeypatch)
    assert none < some == none + 3  # Keras traces some convolutions by itself
    assert short.objectives == pytest.approx(usual.objectives, rel=1e-4, abs=1e-6)
    assert short.metrics == pytest.approx(usual.metrics, rel=1e-4, abs=1e-6)
    assert short.history[0] == pytest.approx(usual.history[0], rel=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("targets", ["predicted", *left_to_all(1)])
@pytest.mark.parametrize(
    "method",
    [
        GradCAM(layer=(0, -1)),
        *left_to_all(
            IntegratedGradients(steps=8, baseline="noise"),
            GradCAM(),
            GradCAMPlusPlus(),
            GradientInput(),
            SmoothGrad(samples=5),
        ),
    ],
)
def test_an_attribution_of_one_pass_agrees_with_a_traced_one(method, targets, monkeypatch):
    rng = np.random.default_rng(5)
    model = NASBench201((8, 8, 3), 4, 3, cells_per_stack=1)
    space = SearchSpace(model, (8, 8, 3), 4)
    network = space.build(random_cell(rng))
    images = rng.random((9, 8, 8, 3), np.float32)
    seldom = explainer.Explainer(network, method)
    found = seldom(images, targets)
    assert not seldom._traced
    again = seldom(images, targets)  # a second pass: now it is traced
    assert seldom._traced
    np.testing.assert_allclose(found, again, rtol=1e-4, atol=1e-6)
    monkeypatch.setattr(explainer, "FEW_PASSES", 0)
    np.testing.assert_array_equal(again, explainer.Explainer(network, method)(images, targets))
