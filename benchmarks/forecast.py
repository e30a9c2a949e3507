"""How well the time of evaluations is foreseen, from the hyperparameters and times of others.

python benchmarks/forecast.py [RUN] [--candidates 80]

Without a run it searches at random in the quickstart's space first. Each tenth of the candidates
is foreseen from the other nine (``strategy/forecast.py``): ``foreseen`` is the share of the
variance of the logarithm of the seconds that this explains, ``sigma`` the root of that variance.
So few candidates say little about so many hyperparameters; ``explained`` is what many would: the
share of a regression on all of them, adjusted for its degrees of freedom (adjusted R squared). The
first candidate also warms TensorFlow up and is left out. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from sklearn.feature_extraction import DictVectorizer

import xnas_tf as xt
from xnas_tf.candidate import Candidate
from xnas_tf.strategy.forecast import expected_seconds

FOLDS = 10


def foreseen(candidates: list[Candidate]) -> np.ndarray:
    """The logarithm of each one's seconds as foreseen from those of other folds (N,)."""
    found = np.empty(len(candidates))
    for fold in range(FOLDS):
        places = range(fold, len(candidates), FOLDS)
        known = [c for place, c in enumerate(candidates) if place % FOLDS != fold]
        found[places] = np.log(expected_seconds([candidates[place] for place in places], known))
    return found


def explained(candidates: list[Candidate], seconds: np.ndarray) -> float:
    """Adjusted R squared of a linear regression on the hyperparameters, choices one-hot."""
    features = DictVectorizer(sparse=False).fit_transform([c.hyperparameters for c in candidates])
    features = np.column_stack([np.ones(len(features)), features])
    weights, _, rank, _ = np.linalg.lstsq(features, seconds, rcond=None)
    rest = ((seconds - features @ weights) ** 2).sum() / (len(seconds) - rank)
    return 1 - float(rest / seconds.var(ddof=1))


def searched(folder: str, candidates: int) -> xt.Run:
    """A finished search whose candidates are all of the first, random generation."""
    words = [f"search={{candidates: {candidates}, population: {candidates}}}"]
    return xt.search(Path("configs/quickstart.yaml"), Path(folder) / "run", words)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--candidates", type=int, default=80)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = (
            xt.load_run(arguments.run) if arguments.run else searched(folder, arguments.candidates)
        )
        done = [c for c in run.candidates() if c.state == "done"][1:]
    seconds = np.log([c.seconds_total for c in done])
    rest = seconds - foreseen(done)
    figures = {
        "explained": explained(done, seconds),
        "foreseen": 1 - float((rest**2).sum() / ((seconds - seconds.mean()) ** 2).sum()),
        "sigma": float(seconds.std()),
        "candidates": len(done),
    }
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
