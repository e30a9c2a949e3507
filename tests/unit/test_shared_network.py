"""The shared network gives a candidate what a network of its own would have given it."""

import itertools
import json
from collections import Counter
from functools import cache

import numpy as np
import pytest

from tests.conftest import left_to_all
from tests.datasets import make_dataset
from tests.ranks import on_ranks, out_of_memory_in_third_call
from tests.spaces import small_cells
from tests.unit.test_supervision import TaskCallback
from tests.unit.test_untraced import random_cell
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.evaluation.supernet.backend import SupernetBackend, is_shared
from xnas_tf.evaluation.supernet.gradient_order import FULL_ORDERS, aliases, number_of, order_of
from xnas_tf.execution.preparation import prepare
from xnas_tf.keras_tools.kernel_cache import kept_kernels
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.keras_tools.tracing import kept_arithmetic
from xnas_tf.spaces.cells import EDGES, OPERATIONS, live_edges, parse_genotype
from xnas_tf.training.callbacks import Interrupted
from xnas_tf.training.predictor import Predictor

TRAINING = {"epochs": 4, "batch_size": 12, "learning_rate": 0.02}
"""Five steps an epoch."""
ALL_SKIPS = dict.fromkeys(EDGES, "skip_connect")
CELLS = [
    cell
    for operations in itertools.product(OPERATIONS, repeat=len(EDGES))
    if live_edges(cell := dict(zip(EDGES, operations, strict=True)))
]


@pytest.fixture(scope="module", autouse=True)
def kernels():
    """As in a search: else TensorFlow would prepare the shared graphs for each candidate, and
    rewrite a cell's own graph in its own way."""
    with kept_kernels(), kept_arithmetic():
        yield


def shared_evaluator(*given):
    """An evaluator that trains the supernet."""
    return Evaluator(*given, SupernetBackend(*given))


def parts(channels=2, **training):
    """Configuration, data and search space."""
    dataset = make_dataset()
    config = load_config(
        overrides=[
            f"training={json.dumps({**TRAINING, **training})}",
        ]
    )
    cells = 2 if channels == 3 else 1
    return config, dataset, small_cells(channels, cells)


@cache
def judges(channels=2, **training):
    """One that trains the shared network, and one that trains each cell's own."""
    given = *parts(channels, **training), SingleProcess()
    return shared_evaluator(*given), Evaluator(*given)


def judged(judge, cell, seed=0, callback=None):
    """The outcome and the trained model's weights."""
    weights = []

    def keep(_, model):
        weights.extend(np.array(v) for v in model.variables)

    candidate = Candidate(1, "cell", cell, seed=seed, epochs=TRAINING["epochs"])
    outcome = judge.evaluate(candidate, keep, callback)
    assert outcome.state == "done", outcome.reason
    return outcome, weights


def figures(outcome):
    losses = [value for epoch in outcome.history for value in epoch.values()]
    return np.array([*losses, *outcome.objectives.values(), *outcome.metrics.values()])


@pytest.mark.long
@pytest.mark.parametrize(
    ("channels", "number"),
    [
        (2, 0),
        *left_to_all(
            *itertools.product((2, 4), range(1, 10)), *((3, n) for n in range(1, 10)), (16, 0)
        ),
    ],
)
def test_it_gives_what_a_network_of_its_own_gives(channels, number):
    cell = random_cell(np.random.default_rng(100 * channels + number))
    (theirs, shared), (ours, own) = (judged(j, cell, number) for j in judges(channels))
    assert theirs.objectives.keys() == ours.objectives.keys()
    # A gradient at the edge of a ReLU may be that of either side (cell 5 of 3 channels: one value
    # of 1.05 differs by 5e-5). A standard error is a hundredth of its value, and changes with it.
    loose = [name for name in ours.metrics if name.endswith("/standard_error")]
    for name in loose:
        np.testing.assert_allclose(
            theirs.metrics.pop(name), ours.metrics.pop(name), rtol=1e-4, atol=1e-5
        )
    np.testing.assert_allclose(figures(theirs), figures(ours), rtol=1e-4, atol=1e-6)
    for a, b in zip(shared, own, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    assert theirs.digest == ours.digest


@pytest.mark.parametrize(
    "training",
    [
        {"optimizer": "adam", "learning_rate": 0.002},
        {"optimizer": "adamw", "learning_rate": 0.002},
        {"optimizer": "rmsprop", "learning_rate": 0.0005},
        {"momentum": 0, "nesterov": False, "weight_decay": 0.01, "schedule": "constant"},
    ],
)
@pytest.mark.long
def test_so_it_does_however_it_is_trained(training):
    cell = parse_genotype(
        "|nor_conv_3x3~0|+|avg_pool_3x3~0|skip_connect~1|+|nor_conv_1x1~0|none~1|skip_connect~2|"
    )
    found = [judged(judge, cell)[0] for judge in judges(**training)]
    np.testing.assert_allclose(*map(figures, found), rtol=1e-4, atol=1e-6)


@pytest.mark.long
def test_nothing_of_a_candidate_stays_for_the_next():
    every = dict.fromkeys(EDGES, "nor_conv_3x3")
    shared, _ = judges()
    first, _ = judged(shared, every, seed=5)
    judged(shared, ALL_SKIPS, seed=1)
    judged(shared, dict.fromkeys(EDGES, "nor_conv_1x1"), seed=2)
    again, _ = judged(shared, every, seed=5)
    assert first.history == again.history and first.objectives == again.objectives


@pytest.mark.long
def test_nothing_stays_of_one_that_fails_in_a_training():
    every = dict.fromkeys(EDGES, "nor_conv_3x3")
    shared, _ = judges()
    first, _ = judged(shared, every, seed=5)
    with out_of_memory_in_third_call():
        outcome = shared.evaluate(Candidate(2, "cell", ALL_SKIPS, seed=1, epochs=4))
    assert outcome.state == "failed" and "out of memory" in outcome.reason
    again, _ = judged(shared, every, seed=5)
    assert first.history == again.history and first.objectives == again.objectives


@pytest.mark.parametrize("at", left_to_all(5, 29))
def test_its_checkpoints_are_those_of_the_model(at):
    """What one evaluator was interrupted in, the other goes on with."""
    cell = dict.fromkeys(EDGES, "nor_conv_1x1")
    whole = figures(judged(judges()[1], cell)[0])
    for first, second in (judges(), judges()[::-1]):
        stopping = TaskCallback(at, Interrupted(15))
        with pytest.raises(Interrupted):
            judged(first, cell, callback=stopping)
        outcome, _ = judged(second, cell, callback=TaskCallback(data=stopping.data))
        np.testing.assert_allclose(figures(outcome), whole, rtol=1e-4, atol=1e-6)


@pytest.mark.long
def test_several_ranks_train_it_together():
    cell = dict.fromkeys(EDGES, "nor_conv_3x3")
    kinds = shared_evaluator, Evaluator
    given = parts()
    theirs, ours = (
        on_ranks(2, lambda ranks, kind=kind: judged(kind(*given, ranks), cell)[0]) for kind in kinds
    )
    assert figures(theirs[0]).tolist() == figures(theirs[1]).tolist()
    np.testing.assert_allclose(figures(theirs[0]), figures(ours[0]), rtol=1e-4, atol=1e-6)


@pytest.mark.long
def test_models_that_were_kept_are_asked_again_in_turn():
    """As in the end of a search: what predicts and explains is that of the model itself."""
    shared, _ = judges()
    kept = {}
    for number in (1, 2):
        cell = random_cell(np.random.default_rng(number))
        candidate = Candidate(number, "cell", cell, seed=number, epochs=4)
        keep = lambda _, model, of=candidate: kept.update({of.id: (of, model)})  # noqa: E731
        shared.evaluate(candidate, keep)
    images = make_dataset().test.images
    for candidate, model in (kept[1], kept[2], kept[1]):
        access = shared.backend.reloaded(candidate, model, len(images))
        predictor, shared_models = access.predictor, access.shared_models
        np.testing.assert_allclose(
            predictor(images), Predictor(model)(images), rtol=1e-5, atol=1e-6
        )
        assert len(shared_models) == 2
        for method, stand_in in shared_models.items():
            assert stand_in is not model
            given = to_model_input(images), candidate.seed
            np.testing.assert_allclose(method(stand_in, *given), method(model, *given), atol=1e-5)


def test_what_another_cell_answered_is_asked_by_itself(monkeypatch):
    """Its layers may have the same names and shapes as those of the candidate's cell."""
    shared, _ = judges()
    cell = dict.fromkeys(EDGES, "nor_conv_3x3")
    model = parts()[2].build(cell)
    monkeypatch.setattr(shared.backend, "_has_trained", True)
    answered = Candidate(9, "cell", ALL_SKIPS, seed=0, epochs=4, reused_from="candidate 1 of other")
    access = shared.backend.reloaded(answered, model, 30)
    predictor, shared_models = access.predictor, access.shared_models
    images = make_dataset().test.images
    np.testing.assert_allclose(predictor(images), Predictor(model)(images), rtol=1e-5)
    assert not shared_models


def test_nothing_is_traced_to_ask_again():
    fresh = shared_evaluator(*parts(), SingleProcess())
    cell = dict.fromkeys(EDGES, "nor_conv_1x1")
    candidate = Candidate(1, "cell", cell)
    access = fresh.backend.reloaded(candidate, parts()[2].build(cell), 30)
    assert not access.shared_models


@pytest.mark.long
def test_a_failed_training_harms_no_other():
    every = dict.fromkeys(EDGES, "nor_conv_3x3")
    shared, _ = judges()
    first, _ = judged(shared, every, seed=5)
    tenant_model = shared.backend._network.model
    for variable in (*tenant_model.variables, *tenant_model.optimizer.variables):
        if np.issubdtype(variable.dtype, np.floating):
            variable.assign(np.full(variable.shape, np.nan, variable.dtype))
    again, _ = judged(shared, every, seed=5)
    assert first.history == again.history


def test_every_cell_has_an_order():
    for cell in CELLS:
        full = FULL_ORDERS[number_of(cell)]
        wanted = order_of(cell)
        shown = [edge for edge in full if edge in wanted]
        assert Counter(shown[:2]) == Counter(wanted[:2]) and (*shown[2:],) == wanted[2:]


def test_each_way_out_of_the_input_is_in_the_order_once():
    """The edges that leave the cell's input, under whatever name, but those that hand it on."""
    for cell in CELLS[::7]:
        inputs = {node for node, is_input in enumerate(aliases(cell)) if is_input}
        ends = [EDGES[edge] for edge in live_edges(cell)]
        expected = [(s, t) for s, t in ends if s in inputs and t not in inputs]
        if 3 in inputs:
            expected = [(s, t) for s, t in ends if t == 3]
        found = [list(EDGES.values())[edge] for edge in order_of(cell)]
        assert sorted(found) == sorted(expected)


@pytest.fixture(scope="module")
def quickstart():
    """The data and the search space of the quickstart, which takes long to examine."""
    return prepare(load_config("configs/quickstart.yaml"), SingleProcess(), 1)[1:]


@pytest.mark.parametrize(
    "changes, is_expected",
    [
        ({}, True),
        ({"search": "{candidates: 4, population: 4}"}, False),
        ({"training": "{epochs: 100}"}, False),
        *left_to_all(
            ({"training": "{mixed_precision: true}"}, False),
            ({"training": "{jit_compile: true}"}, False),
            ({"search": "{candidates: 40, fidelity: {epochs: [1, 3]}}"}, False),
        ),
    ],
)
def test_it_is_used_where_it_pays(changes, is_expected, quickstart):
    overrides = [f"{key}={value}" for key, value in changes.items()]
    config = load_config("configs/quickstart.yaml", overrides=overrides)
    assert is_shared(config, *quickstart, groups=1) == is_expected
    assert not is_shared(config, *quickstart, groups=16)


@pytest.mark.long
def test_it_is_for_cells_only():
    config = load_config("configs/quickstart.yaml", overrides=["space=vgg_like"])
    assert not is_shared(*prepare(config, SingleProcess(), 1), groups=1)
