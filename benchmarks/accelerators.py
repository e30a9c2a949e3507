"""Measures how much time each accelerator saves in a whole search, by switching it off.

python benchmarks/accelerators.py [--only quickstart cifar10 hypermodel] [--ways usual plain …]

All searches of a task run side by side, each in its own process, and take turns of half a second
(benchmarks/throughput_turns.py). A ratio above 1 shows by which factor the search is slower without
the accelerator. The last line of the output is JSON.

``--way NAME search CONFIG …`` runs the command line with that accelerator switched off.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT.parent / "shared" / "data" / "cifar10_sample.npz"


def without_supernet() -> None:
    import xnas_tf.evaluation.supernet.backend

    xnas_tf.evaluation.supernet.backend.is_shared = lambda *_, **__: False


def without_kernel_cache() -> None:
    import xnas_tf.execution.job

    xnas_tf.execution.job.kept_kernels = nullcontext


def without_fused_layers() -> None:
    import xnas_tf.training.step

    xnas_tf.training.step.fused_layers = lambda _: nullcontext()


def without_untraced_calls() -> None:
    from xnas_tf.attribution import activations, explainer
    from xnas_tf.keras_tools import tracing

    tracing.FEW_RUNS = activations.FEW_RUNS = explainer.FEW_PASSES = 0


def without_kept_arithmetic() -> None:
    import xnas_tf.execution.job_context

    xnas_tf.execution.job_context.kept_arithmetic = nullcontext


def without_thread_sharing() -> None:
    import xnas_tf.spaces.options

    xnas_tf.spaces.options.NASBench201Options.branches = 1


WAYS: dict[str, tuple[Callable[[], None], ...]] = {
    "usual": (),
    "supernet": (without_supernet,),
    "kernel cache": (without_kernel_cache,),
    "fused layers": (without_fused_layers,),
    "untraced calls": (without_untraced_calls,),
    "kept arithmetic": (without_kept_arithmetic,),
    "thread sharing": (without_thread_sharing,),
}
WAYS["any"] = tuple(switch for switches in WAYS.values() for switch in switches)


def cifar10(folder: Path) -> Path:
    """Write the sample of CIFAR-10, and return the configuration of task (b)."""
    with np.load(SAMPLE) as sample:
        np.savez(folder / "cifar10.npz", **{k: sample[k] for k in sample.files})
    config = folder / "cifar10.yaml"
    config.write_text(
        f"dataset: npz:{folder / 'cifar10.npz'}\n"
        "space: {name: nas_bench_201, channels: 16, cells_per_stack: 1}\n"
        "objectives: [error, introspectability]\n"
        "training: {epochs: 3}\n"
        "search: {candidates: 12, population: 6}\n"
    )
    return config


def measure(task: str, ways: list[str], extra: list[str]) -> dict[str, float]:
    """Run a search in each way, in turns, and return their seconds."""
    from throughput_turns import search_in_turns

    with tempfile.TemporaryDirectory() as folder:
        config = cifar10(Path(folder)) if task == "cifar10" else ROOT / "configs" / f"{task}.yaml"
        commands = [[sys.executable, __file__, "--way", way] for way in ways]
        found = search_in_turns(commands, [str(config), *extra], Path(folder))
    return dict(zip(ways, found, strict=True))


def main() -> None:
    """Measure and print the results, or run one search with an accelerator switched off."""
    if sys.argv[1:2] == ["--way"]:
        from xnas_tf.utils.environment import set_defaults

        set_defaults()
        for switch in WAYS[sys.argv[2]]:
            switch()
        sys.argv[1:3] = []
        from xnas_tf.cli import main as command

        command()
        return
    parser = argparse.ArgumentParser()
    tasks = ["quickstart", "cifar10", "hypermodel"]
    parser.add_argument("--only", nargs="+", choices=tasks, default=tasks)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    figures = {}
    for task in given.only:
        extra = [word for pair in given.set for word in ("--set", pair)]
        seconds = measure(task, given.ways, extra)
        base = seconds[given.ways[0]]
        for way, value in seconds.items():
            print(f"{task:<12} without {way:<26} {value:7.1f} s  {value / base:.3f}", flush=True)
        figures[task] = {way: round(value / base, 3) for way, value in seconds.items()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
