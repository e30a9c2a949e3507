"""Measures candidates per hour with one process, two groups on Ray (K=1), and two ranks (K=2).

python benchmarks/groups.py [CANDIDATES] [ROUNDS] [KINDS, such as np1,k1]

All three ways use the quickstart's space and data, one thread per rank, and the same candidates,
and they take turns. With fewer than about 30 candidates, a single process trains one network that
represents all cells, but two groups do not, because it would not pay off for each of them. A rate
is the sum of the groups' candidates per unit of time, counted from each group's second candidate,
because the first one also warms up TensorFlow. The effect of the number of ranks on the errors
(through batch normalisation, which the quickstart's networks use) is also shown. The last line of
the output is JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.storage.run import Run

BIN = Path(sys.executable).parent
SEARCH = (str(BIN / "xnas-tf"), "search")
KINDS = {
    "np1": SEARCH,
    "k1": (*SEARCH, "--engine", "ray", "--groups", "2"),
    "k2": (str(BIN / "horovodrun"), "-np", "2", *SEARCH),
}


def run(path: Path, command: tuple[str, ...], candidates: int) -> list[Candidate]:
    """Run a search in its own process, and return the candidates."""
    words = [*command, "--run-dir", str(path)]
    for text in (
        f"search={{candidates: {candidates}, population: {candidates}, mode: generational}}",
        "distributed.threads_per_rank=1",
    ):
        words += ["--set", text]
    root = Path(__file__).resolve().parents[1]
    subprocess.run(words, cwd=root, check=True, capture_output=True)
    return [candidate for candidate in Run(path).candidates() if candidate.trained]


def rate(candidates: list[Candidate]) -> float:
    """Return the candidates per hour, without the first one of each group."""
    total = 0.0
    for group in {candidate.group for candidate in candidates}:
        mine = sorted((c for c in candidates if c.group == group), key=lambda c: c.started)[1:]
        begin, end = datetime.fromisoformat(mine[0].started), max(c.finished for c in mine)
        total += 3600 * len(mine) / (datetime.fromisoformat(end) - begin).total_seconds()
    return total


def main() -> None:
    """Print the rates and the JSON line."""
    candidates = int(sys.argv[1]) if len(sys.argv) > 1 else 36
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    rates: dict[str, list[float]] = {}
    seconds: list[float] = []
    errors: dict[str, dict[str, float]] = {}
    kinds = sys.argv[3].split(",") if len(sys.argv) > 3 else list(KINDS)
    for number in range(rounds):
        for name in kinds:
            with tempfile.TemporaryDirectory() as folder:
                found = run(Path(folder) / "run", KINDS[name], candidates)
            rates.setdefault(name, []).append(rate(found))
            errors[name] = {c.genotype: c.objectives["error"] for c in found if c.state == "done"}
            if name == "np1":
                seconds += [c.seconds_total for c in sorted(found, key=lambda c: c.id)[1:]]
            print(f"round {number + 1}  {name:4} {rates[name][-1]:6.0f} candidates per hour")
    figures = {f"per_hour_{name}": float(np.mean(values)) for name, values in rates.items()}
    for name in kinds[1:]:
        ratios = np.array(rates[name]) / np.array(rates["np1"])
        figures[f"speedup_{name}"] = float(ratios.mean())
        figures[f"speedup_{name}_min"] = float(ratios.min())
        apart = [abs(errors[name][g] - error) for g, error in errors["np1"].items()]
        figures[f"error_difference_{name}_mean"] = float(np.mean(apart))
        figures[f"error_difference_{name}_max"] = float(np.max(apart))
    figures["log_seconds_sigma"] = float(np.std(np.log(seconds)))
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
