"""Does a search for introspectability find networks that people can debug?

    python benchmarks/claim.py search FOLDER [--data NAME …] [--seeds N …] [--cifar10 FILE]
    python benchmarks/claim.py retrain FOLDER [--data NAME …] [--seeds N …] [--cifar10 FILE]
    python benchmarks/claim.py collect FOLDER [--out FILE]
    python benchmarks/claim.py report [FILE] --data NAME … [--figure FILE]

``search`` runs the searches, and ``retrain`` trains the networks selected from them again and
measures the outcomes. Both resume, and can run in several processes for different data sets or
seeds. ``collect`` writes a row for each selected network to a file, and ``report`` compares the
arms. docs/claim.md is the plan.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # contains only the script's folder

from benchmarks.claim_searches import (  # noqa: E402
    ARMS,
    CANDIDATES,
    DATA,
    SEEDS,
    Setting,
    run_directory,
    run_search,
    selected,
    setting,
)
from benchmarks.common import ROOT, json_lines  # noqa: E402

TABLE = ROOT / "benchmarks" / "tables" / "claim.csv.gz"


def networks(folder: Path, data: str, seed: int) -> list[tuple[str, Any]]:
    """Return the selected networks of all arms, as pairs of an arm and a candidate."""
    from xnas_tf.storage.run import Run

    pairs = []
    for arm in ARMS:
        path = run_directory(folder, data, arm, seed)
        trained = sum(each.trained for each in Run(path)) if path.exists() else 0
        if trained < CANDIDATES:
            raise SystemExit(f"{path}: {trained} of {CANDIDATES} candidates; first run the search")
        pairs += [(arm, candidate) for candidate in selected(Run(path), arm)]
    return pairs


def retrain(folder: Path, data: Setting, seed: int) -> None:
    """Train and measure the selected networks, and append a line of JSON for each to a file.

    A network selected in several arms is trained once for all of them.
    """
    from benchmarks.claim_outcomes import FIRST_SEED, Outcomes

    path = outcome_file(folder, data.name, seed)
    known = set(outcomes(path))
    missing = {each.genotype for _, each in networks(folder, data.name, seed)} - known
    bench = Outcomes(data) if missing else None
    for genotype in sorted(missing):
        assert bench
        begin = time.perf_counter()
        values = bench.measure(genotype, FIRST_SEED + seed)
        line = {"genotype": genotype, **values, "seconds": time.perf_counter() - begin}
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def outcome_file(folder: Path, data: str, seed: int) -> Path:
    """Return where the outcomes of the networks of a data set and a seed are stored."""
    return folder / data / f"outcomes-{seed}.jsonl"


def outcomes(path: Path) -> dict[str, dict[str, float]]:
    """Return the outcomes in a file by genotype."""
    return {line.pop("genotype"): line for line in json_lines(path)}


def collect(folder: Path, out: Path) -> None:
    """Write a row for each selected network of each complete search to a CSV file.

    Rows of other data sets and seeds, which are already in the file, are kept.
    """
    import pandas as pd

    rows = []
    for path in sorted(folder.glob("*/outcomes-*.jsonl")):
        data, seed = path.parent.name, int(path.stem.split("-")[1])
        known, chosen = outcomes(path), networks(folder, data, seed)
        if missing := {each.genotype for _, each in chosen} - set(known):
            print(f"{path} is left out: retrain the {len(missing)} other networks", file=sys.stderr)
            continue
        for arm, candidate in chosen:
            name = {"data": data, "seed": seed, "arm": arm, "genotype": candidate.genotype}
            searched = {f"search/{key}": value for key, value in candidate.objectives.items()}
            searched["search/seconds"] = search_seconds(folder, data, arm, seed)
            rows.append({**name, "id": candidate.id, **searched, **known[candidate.genotype]})
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        done = {(row["data"], row["seed"]) for row in rows}
        earlier = pd.read_csv(out).to_dict("records")
        rows = [row for row in earlier if (row["data"], row["seed"]) not in done] + rows
    pd.DataFrame(rows).to_csv(out, index=False, float_format="%.6g")
    counts = ", ".join(f"{data}: {n} seeds" for data, n in seeds_by_data(rows).items())
    print(f"{out}: {len(rows)} networks ({counts})")


def search_seconds(folder: Path, data: str, arm: str, seed: int) -> float:
    """Return the time that a search took to evaluate its candidates."""
    from xnas_tf.storage.run import Run

    run = Run(run_directory(folder, data, arm, seed))
    return sum(candidate.seconds_total for candidate in run)


def seeds_by_data(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Return the number of seeds of each data set."""
    found: dict[str, set[int]] = {}
    for row in rows:
        found.setdefault(row["data"], set()).add(row["seed"])
    return {data: len(seeds) for data, seeds in found.items()}


def main() -> None:
    """Run one of the steps."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    steps = parser.add_subparsers(dest="step", required=True)
    for name in ("search", "retrain"):
        step = steps.add_parser(name)
        step.add_argument("folder", type=Path)
        step.add_argument("--data", nargs="+", choices=DATA, default=DATA)
        step.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
        step.add_argument("--cifar10", type=Path, help="NPZ file with the sample of CIFAR-10")
    step = steps.add_parser("collect")
    step.add_argument("folder", type=Path)
    step.add_argument("--out", type=Path, default=TABLE)
    step = steps.add_parser("report")
    step.add_argument("table", nargs="?", type=Path, default=TABLE)
    step.add_argument("--data", nargs="+", choices=DATA, required=True, help="of one study")
    step.add_argument("--figure", type=Path, help="file to draw the effects into")
    options = parser.parse_args()
    if options.step == "collect":
        collect(options.folder, options.out)
        return
    if options.step == "report":
        from benchmarks.claim_report import report

        report(options.table, options.data, options.figure)
        return
    for name in options.data:
        data = setting(name, options.cifar10)
        for seed in options.seeds:
            if options.step == "retrain":
                retrain(options.folder, data, seed)
                continue
            for arm in ARMS:
                run_search(options.folder, data, arm, seed)
                print(f"{name} {arm} {seed}: finished", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
