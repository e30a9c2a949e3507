"""Which candidate of a front is recommended, against the rule written down once more."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from tests.datasets import saved_run
from tests.unit.test_front import FIVE, ONE, THREE, TWO
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.errors import InputError
from xnas_tf.strategy.compromise import knee
from xnas_tf.strategy.pareto import costs, pareto_front
from xnas_tf.strategy.recommendation import recommend

WITHOUT_ERROR = load_config(overrides=["objectives=[introspectability, parameters]"])
CONFIGS = {"1": ONE, "2": TWO, "3": THREE, "5": FIVE, "without error": WITHOUT_ERROR}
SEVERAL = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
COUNTS = [60, 50, 40]
IMAGES, COMMONEST = 150, 60


def candidate(config, number, right, values=()):
    """One that answers so many of 150 images; values in the order of the objectives."""
    names = [objective.name for objective in config.objectives]
    rest = iter(values)
    accuracy = right / IMAGES
    found = {name: 1 - accuracy if name == "error" else next(rest) for name in names}
    metrics = {"val_accuracy": accuracy}
    return Candidate(number, str(number), {}, state="done", objectives=found, metrics=metrics)


@st.composite
def fronts(draw, config):
    """Candidates that nothing dominates, at chance and above it."""
    number = st.integers(0, 64).map(float)
    row = st.tuples(st.integers(0, IMAGES), *[number] * len(config.objectives))
    rows = draw(st.lists(row, max_size=9))
    everyone = [candidate(config, at, *split(row)) for at, row in enumerate(rows, start=1)]
    return pareto_front(everyone, config)


def split(row):
    return row[0], row[1:]


def right(c):
    return round(c.metrics["val_accuracy"] * IMAGES)


def interval(c):
    return binomtest(right(c), IMAGES).proportion_ci(0.95, method="wilson")


def better_than_chance(front):
    return [c for c in front if interval(c).low > COMMONEST / IMAGES]


def tolerated(front, within=None):
    """Of those that are better than chance the ones near the best."""
    able = better_than_chance(front)
    best = max(map(right, able))
    if within is not None:
        return [c for c in able if 100 * (best - right(c)) <= within * IMAGES + 1e-6]
    low = min(min(interval(c).low for c in able if right(c) == best), best / IMAGES - 0.02)
    return [c for c in able if right(c) / IMAGES >= low - 1e-6]


def by_error(c):
    return -right(c), c.id


@SEVERAL
@settings(max_examples=60, deadline=None)
@given(data=st.data(), within=st.none() | st.integers(0, 60))
def test_it_is_better_than_chance_near_the_best_and_best_in_the_rest(config, data, within):
    front = data.draw(fronts(config))
    found = recommend(front, config, COUNTS, within=within)
    assert found.best == (min(front, key=by_error).id if front else None)
    if not better_than_chance(front):
        assert found.id is None and found.why
        return
    near = tolerated(front, within)
    rest = [at for at, o in enumerate(config.objectives) if o.name != "error"]
    values = costs(near, config)[:, rest]
    if len(rest) > 1:
        scale = costs(better_than_chance(front), config)[:, rest]
        span = np.ptp(scale, axis=0)
        values = (values - scale.min(axis=0)) / np.where(span > 0, span, 1)
    mean = values.mean(axis=1) if rest else np.zeros(len(near))
    places = {c.id: (round(m, 9), *by_error(c)) for c, m in zip(near, mean, strict=True)}
    assert found.id in places
    assert places[found.id][0] == min(places.values())[0]
    if len(rest) < 2:
        assert found.id == min(places, key=places.get)


@SEVERAL
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_preferred_decides_among_those_better_than_chance(config, data):
    front = data.draw(fronts(config))
    able = better_than_chance(front)
    for at, objective in enumerate(config.objectives):
        found = recommend(front, config, COUNTS, prefer=objective.name)
        places = {c.id: (costs([c], config)[0][at], *by_error(c)) for c in able}
        expected = min(places, key=places.get, default=None)
        assert found.id == expected or objective.name == "error"
    least = min(able, key=by_error).id if able else None
    assert recommend(front, config, COUNTS, prefer="error").id == least
    bulging = knee(able, config)[0].id if able else None
    assert recommend(front, config, COUNTS, prefer="knee").id == bulging
    if able:
        name = config.objectives[-1].name
        narrow = recommend(front, config, COUNTS, prefer=name, within=5)
        assert narrow.id in {c.id for c in tolerated(front, 5)}


@SEVERAL
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_neither_order_nor_units_matter(config, data):
    """Units are powers of two, so that nothing is rounded."""
    front = data.draw(fronts(config))
    prefer = data.draw(st.sampled_from([None, "error", "knee", config.objectives[-1].name]))
    before = recommend(front, config, COUNTS, prefer)
    shuffled = data.draw(st.permutations(front))
    assert recommend(shuffled, config, COUNTS, prefer) == before
    names = [objective.name for objective in config.objectives]
    scales = dict(zip(names, 2.0 ** np.array([3, -5, 1, 7, -2])[: len(names)], strict=True))
    for c in front:
        c.objectives = {name: scales[name] * value for name, value in c.objectives.items()}
    assert recommend(front, config, COUNTS, prefer).id == before.id


def test_ties_go_to_the_lower_error_then_to_the_lower_id():
    tied = [candidate(WITHOUT_ERROR, number, 140, (0.5, 9.0)) for number in (3, 2)]
    assert recommend(tied, WITHOUT_ERROR, COUNTS).id == 2
    tied.append(candidate(WITHOUT_ERROR, 4, 141, (0.5, 9.0)))
    assert recommend(tied, WITHOUT_ERROR, COUNTS).id == 4
    assert recommend(tied, WITHOUT_ERROR, COUNTS, prefer="parameters").id == 4


def test_of_several_other_objectives_the_mean_of_scaled_costs_counts():
    front = [
        candidate(THREE, 1, 140, (0.5, 1000.0)),  # costs 0 and 1: mean 0.5
        candidate(THREE, 2, 139, (0.4, 300.0)),  # 0.5 and 0.125
        candidate(THREE, 3, 138, (0.3, 200.0)),  # 1 and 0
    ]
    assert recommend(front, THREE, COUNTS).id == 2


def test_two_near_the_best_are_compared_on_the_scale_of_the_whole_front():
    """0.02 introspectability is little, and 25 times the parameters are much."""
    front = [
        candidate(THREE, 1, 140, (0.74, 88_000.0)),
        candidate(THREE, 2, 139, (0.72, 3_500.0)),
        candidate(THREE, 3, 100, (0.10, 900.0)),
        candidate(THREE, 4, 40, (9.0, 1.0)),  # not better than chance
    ]
    assert recommend(front, THREE, COUNTS).id == 2
    alone = recommend(front[:2], THREE, COUNTS)
    assert alone.id == 1 and alone.why.endswith(
        "one of 2 within its 95% interval; tied with 2 in introspectability and parameters "
        "overall, each scaled from 0 to 1 over the front, so the lower error decides"
    )


@pytest.mark.parametrize(
    ("error", "chosen", "reason"),
    [
        (0.02, 1, "tied with 2 in introspectability within its standard error, so the lower error"),
        (0.005, 2, "introspectability 0.51 against 0.5"),
        (None, 2, "introspectability 0.51 against 0.5"),
    ],
)
def test_what_may_be_chance_costs_no_accuracy(error, chosen, reason):
    front = [candidate(TWO, 1, 140, (0.50,)), candidate(TWO, 2, 139, (0.51,))]
    if error is not None:
        front[1].metrics["introspectability/standard_error"] = error
    found = recommend(front, TWO, COUNTS)
    assert found.id == chosen and reason in found.why
    assert recommend(front, TWO, COUNTS, prefer="introspectability").id == 2


def test_a_best_value_within_a_standard_error_is_called_so():
    front = [
        candidate(THREE, 1, 140, (0.50, 10.0)),
        candidate(THREE, 2, 139, (0.54, 90.0)),
        candidate(THREE, 3, 100, (0.10, 1.0)),
    ]
    for each in front:
        each.metrics["introspectability/standard_error"] = 0.05
    found = recommend(front, THREE, COUNTS)
    assert found.id == 1 and found.why.endswith("over the front, give or take a standard error")


@pytest.mark.parametrize("prefer", [None, "introspectability"])
def test_small_units_are_no_ties(prefer):
    front = [candidate(TWO, 1, 140, (5e-11,)), candidate(TWO, 2, 139, (6e-11,))]
    assert recommend(front, TWO, COUNTS, prefer=prefer).id == 2


def test_of_equal_errors_nothing_is_said_to_be_lower():
    front = [candidate(THREE, 5, 140, (0.5, 90.0)), candidate(THREE, 7, 140, (0.4, 80.0))]
    assert recommend(front, THREE, COUNTS).why.endswith(
        "over the front, and in error, so the first one found is chosen"
    )


def test_accuracy_as_a_metric_is_no_remaining_objective():
    words = ["objectives=[{name: 'metric:accuracy', direction: maximize}, parameters]"]
    config = load_config(overrides=words)
    front = [candidate(config, 1, 141, (0.94, 200.0)), candidate(config, 2, 140, (0.93, 100.0))]
    assert recommend(front, config, COUNTS).id == 2


@pytest.mark.parametrize(("images", "wrong", "is_noted"), [(54, 8, True), (54, 5, False)])
def test_few_images_make_the_interval_wide_and_this_is_said(images, wrong, is_noted):
    """7.4 and 1.9 points above the best: 2 points are tolerated however many images there are."""
    front = []
    for number, (mistakes, value) in enumerate([(4, 0.2), (wrong, 0.4)], start=1):
        front.append(candidate(TWO, number, 0, (value,)))
        front[-1].metrics["val_accuracy"] = 1 - mistakes / images
    found = recommend(front, TWO, [images // 3] * 3)
    assert found.id == 2
    note = 'so this interval is wide: choose candidate 1 ("best") for the lowest error'
    assert (f"only 54 validation images, {note}" in found.why) == is_noted
    assert "--" not in found.why  # Python shows it, too


def test_who_has_no_accuracy_is_never_recommended():
    odd = candidate(TWO, 1, 140, (9.0,))
    odd.metrics = {}
    nan = candidate(TWO, 2, 140, (8.0,))
    nan.metrics = {"val_accuracy": float("nan")}
    good = candidate(TWO, 3, 139, (0.1,))
    for counts in (COUNTS, None):
        assert recommend([odd, nan, good], TWO, counts).id == 3
        none = recommend([odd, nan], TWO, counts)
        assert none.id is None and none.best is None and "no candidate on the front has" in none.why


@pytest.mark.parametrize(
    ("own_optimizer", "advised"), [(False, "training.learning_rate"), (True, "in build(hp)")]
)
def test_who_may_be_at_chance_is_not_recommended_and_advice_has_an_effect(own_optimizer, advised):
    little_better = [candidate(TWO, 1, max(COUNTS) + 1, (0.5,))]
    found = recommend(little_better, TWO, COUNTS, has_own_optimizer=own_optimizer)
    assert found.id is None and f"the learning rate ({advised})" in found.why
    assert "clearly better (95% interval) than always predicting" in found.why
    known = recommend(little_better, TWO, COUNTS, range_problem="models expect 0-255")
    assert known.why.endswith("at most): models expect 0-255")


def test_one_line_says_what_why_and_what_it_costs():
    front = [candidate(TWO, 7, 140, (0.48,)), candidate(TWO, 12, 138, (0.61,))]
    found = recommend(front, TWO, COUNTS)
    assert found.text == (
        "candidate 12 (error 8.0%, 1.3 points above the best, 7; within its 95% interval; "
        "introspectability 0.61 against 0.48)"
    )
    assert recommend(front, TWO, COUNTS, within=1).text == (
        "candidate 7 (error 6.7%, the lowest on the front; no other within 1 point of it)"
    )
    assert recommend(front, TWO, COUNTS, "introspectability").why == (
        "error 8.0%, 1.3 points above the best, 7; preferred: the best introspectability; "
        "introspectability 0.61 against 0.48"
    )
    assert "; there is no knee; it is closest" in recommend(front, TWO, COUNTS, "knee").why
    assert recommend(front[:1], TWO, COUNTS).why == "error 6.7%, the lowest on the front"
    assert recommend(front, TWO, None).why.endswith(
        "within 2 points of it; introspectability 0.61 against 0.48; "
        "chance level unknown (run of an earlier version)"
    )
    front.append(candidate(TWO, 13, 60, (0.9,)))
    assert recommend(front, TWO, COUNTS).why.endswith(
        "; 1 on the front no better than chance, left out"
    )
    best_of_both = [
        candidate(WITHOUT_ERROR, 1, 140, (0.5, 9.0)),
        candidate(WITHOUT_ERROR, 2, 139, (0.4, 8.0)),
        candidate(WITHOUT_ERROR, 3, 100, (0.1, 1.0)),  # sets the scale
    ]
    assert "one of 2 within its 95% interval; among these the best in introspectability and" in (
        recommend(best_of_both, WITHOUT_ERROR, COUNTS).why
    )


def test_the_line_claims_nothing_that_is_not_so():
    """1 has the least error and the best mean, but is the best in neither objective."""
    rows = [(1, 140, (0.45, 400.0)), (2, 139, (0.5, 700.0)), (3, 138, (0.4, 300.0))]
    front = [candidate(THREE, *row) for row in rows]
    found = recommend(front, THREE, COUNTS)
    assert found.id == 1 and "overall, each scaled from 0 to 1" in found.why
    preferred = recommend(front, THREE, COUNTS, prefer="error", within=10)
    assert preferred.id == 1 and "best mean" not in preferred.why
    alone = recommend(front, THREE, COUNTS, prefer="knee", within=0)
    assert alone.why == "error 6.7%, the lowest on the front; no other within 0 points of it"
    front[1].metrics.clear()  # not known, which is not the same as at chance
    assert "no better than chance" not in recommend(front, THREE, COUNTS).why


def test_where_nothing_learned_the_line_says_so_and_what_to_change():
    """Of 60 of 150, the lower end is above 40% from 72 on."""
    front = [candidate(TWO, 1, 71, (0.4,)), candidate(TWO, 2, 60, (1.14,))]
    found = recommend(front, TWO, COUNTS)
    assert found.id is None and found.best == 1 and "\n" not in found.text
    for part in ("none of the 2 candidates", "40.0%", "47.3%", "training.learning_rate"):
        assert part in found.text
    for word in ("training.epochs", "normalisation"):
        assert word in found.text
    for prefer in ("error", "introspectability", "knee"):
        assert recommend(front, TWO, COUNTS, prefer, within=100).id is None
    assert "the one candidate on the front is not" in recommend(front[:1], TWO, COUNTS).text
    empty = recommend([], TWO, COUNTS)
    assert empty.id is None and empty.best is None and "no candidate has a result yet" in empty.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prefer": "eror"}, "`prefer`: there is no 'eror' .did you mean 'error'"),
        ({"prefer": "nee"}, "did you mean 'knee'. allowed: error, introspectability, knee"),
        ({"prefer": "parameters"}, "no 'parameters'"),
        ({"within": -1.0}, "`within` -1; allowed: 0 or more"),
        ({"within": float("nan")}, "`within` nan"),
        ({"within": float("inf")}, "`within` inf"),
    ],
)
@pytest.mark.parametrize("size", [0, 1])
def test_wrong_wishes_are_refused(options, message, size):
    with pytest.raises(InputError, match=message):
        recommend([candidate(TWO, 1, 140, (0.5,))][:size], TWO, COUNTS, **options)


@pytest.fixture
def run(tmp_path):
    known = (1, 140, 0.4), (2, 138, 0.6), (3, 60, 0.9), (4, 100, 0.1)
    everyone = [candidate(TWO, number, count, (value,)) for number, count, value in known]
    return saved_run(tmp_path / "run", TWO, everyone, validation=COUNTS)


def test_a_run_gives_what_is_named(run):
    assert [c.id for c in run.pareto()] == [1, 2, 3]
    assert run.best.id == run.choose().id == run.choose("recommended").id == 2
    assert run.choose("best").id == 1 and run.choose(4).id == 4
    assert run.recommendation("introspectability").id == 2
    assert run.recommendation(within=1).id == 1
    assert [c.id for c in run.choose_all()] == [2]
    assert [c.id for c in run.choose_all([4, "best", 1])] == [4, 1]
    assert [c.id for c in run.choose_all(pareto=True)] == [1, 2, 3]
    assert [c.id for c in run.choose_all(["recommended"], pareto=True)] == [2, 1, 3]
    with pytest.raises(InputError, match="'bset' .did you mean 'best'. allowed: an id, best"):
        run.choose("bset")
    with pytest.raises(InputError, match="has no candidate 9; allowed: 1 to 4"):
        run.choose(9)


def test_a_run_in_which_nothing_learned_gives_only_what_is_named(run):
    saved_run(run.path, TWO, validation=[149, 1, 0])
    assert run.best is None
    with pytest.raises(InputError, match="no recommended candidate: .*learning_r.*`candidate` ID"):
        run.choose()
    assert run.choose("best").id == 1 and run.choose(3).id == 3


def test_a_run_without_results_has_neither(tmp_path):
    run = saved_run(tmp_path / "run", TWO)
    assert run.best is None
    for which in ("recommended", "best"):
        with pytest.raises(InputError, match=f"no {which} candidate.*no candidate has a result"):
            run.choose(which)
    with pytest.raises(InputError, match="no Pareto-optimal candidates yet"):
        run.choose_all(pareto=True)
