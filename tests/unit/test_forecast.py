"""How long evaluations will take, where the right answer is known."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xnas_tf.candidate import Candidate
from xnas_tf.strategy.forecast import FEWEST, expected_seconds


def candidate(number, hyperparameters, seconds=0.0, state="done"):
    figures = {"train": seconds} if seconds else {}
    return Candidate(number, f"g{number}", hyperparameters, state=state, seconds=figures)


def drawn(rng, count):
    """Cells whose time is the product of what each choice multiplies it by."""
    for number in range(count):
        kind, depth, fast = rng.choice(["a", "b", "c"]), int(rng.integers(1, 9)), rng.random() < 0.5
        seconds = {"a": 1.0, "b": 3.0, "c": 0.5}[kind] * 1.3**depth * (0.7 if fast else 1.0)
        values = {"kind": str(kind), "depth": depth, "fast": bool(fast)}
        if kind == "a":  # a hyperparameter of this kind alone
            values["width"] = 8
        yield candidate(number, values, seconds)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000))
def test_products_of_choices_are_found(seed):
    rng = np.random.default_rng(seed)
    known, wanted = list(drawn(rng, 200)), list(drawn(rng, 50))
    true = np.array([c.seconds_total for c in wanted])
    assert np.allclose(expected_seconds(wanted, known), true, rtol=0.1)


def test_what_was_never_seen_is_no_error():
    known = list(drawn(np.random.default_rng(0), 50))
    found = expected_seconds(
        [candidate(1, {"kind": "new", "more": [1, 2]}), candidate(2, {})], known
    )
    assert found.shape == (2,) and np.isfinite(found).all() and (found > 0).all()


def test_nothing_is_judged_by_few_or_by_those_that_failed():
    wanted = list(drawn(np.random.default_rng(1), 5))
    few = list(drawn(np.random.default_rng(0), FEWEST - 1))
    failed = [candidate(n, c.hyperparameters, 9.0, "failed") for n, c in enumerate(few * 3)]
    assert expected_seconds(wanted, few + failed).tolist() == [1.0] * 5
    assert expected_seconds([], few * 3).tolist() == []
