"""How long evaluations will take, judged by those that are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xnas_tf.candidate import Candidate

PENALTIES = 10.0 ** np.arange(-1, 4)
"""Of the regression's weights; that one is taken which foresees best what it left out."""
FEWEST = 20
"""Evaluations that must be known to judge by: fewer say little about so many hyperparameters."""


def expected_seconds(wanted: Sequence[Candidate], known: Sequence[Candidate]) -> np.ndarray:
    """Predicts the seconds of evaluations: a ridge regression of their logarithm on the
    hyperparameters and the rung, choices one-hot.

    Args:
        wanted: N candidates that are not evaluated yet.
        known: Candidates; those that were trained and are done are learned from.

    Returns:
        (N,); all equal where too few are known.
    """
    done = [c for c in known if c.state == "done" and c.trained and c.seconds_total > 0]
    if len(done) < FEWEST or not wanted:
        return np.ones(len(wanted))
    # Only at the end of a search with several groups: scikit-learn takes a second to import.
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(DictVectorizer(), StandardScaler(with_mean=False), RidgeCV(PENALTIES))
    model.fit([_features(c) for c in done], [np.log(c.seconds_total) for c in done])
    return np.exp(model.predict([_features(c) for c in wanted]))


def _features(candidate: Candidate) -> dict[str, str | float]:
    """Numbers as they are, anything else as a category of its own."""
    rung = {"(epochs)": str(candidate.epochs)}
    return rung | {
        name: value
        if isinstance(value, int | float) and not isinstance(value, bool)
        else str(value)
        for name, value in candidate.hyperparameters.items()
    }
