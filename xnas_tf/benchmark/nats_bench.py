"""Reads NATS-Bench's files (Dong et al. 2021, arXiv 2009.00437) with the authors' package."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

from xnas_tf.errors import InputError

DATASETS = ("cifar10", "cifar10-valid", "cifar100", "ImageNet16-120")
COSTS = ("flops", "params", "latency")
"""Costs: millions of operations, millions of parameters, and seconds per batch of 256 images."""


def read_nats_bench(path: Path) -> tuple[list[str], dict[str, list[float]]]:
    """Read the genotypes of NATS-Bench's topology space and the results of its longest training.

    The package unpickles the files, which can run code: use only the authors' files.

    The columns are accuracies in %, such as ``cifar10_test_accuracy`` and
    ``cifar100_valid_accuracy``, averaged over the training runs of a cell, and costs such as
    ``cifar10_flops``, ``cifar10_params`` and ``cifar10_latency``. Columns whose values are not
    known for every cell are left out.

    Args:
        path: The folder ``NATS-tss-v1_0-3ffb9-simple``, or the single large ``.pickle.pbz2`` file.

    Raises:
        InputError: If the package is missing or cannot read the files.
    """
    try:
        import nats_bench
    except ImportError:
        needed = f"--table {path} needs the package nats-bench: pip install nats-bench"
        raise InputError(needed) from None
    try:
        with contextlib.redirect_stdout(sys.stderr):  # the package prints
            api = nats_bench.create(str(path), "tss", fast_mode=path.is_dir(), verbose=False)
            genotypes = [api.arch(index) for index in range(len(api))]
            rows = [_metrics(api, index) for index in range(len(api))]
    except Exception as error:  # the package or pickle may raise anything
        raise InputError(f"--table {path} is not readable as NATS-Bench: {error!r}") from error
    known = [name for name in rows[0] if all(name in row for row in rows)] if rows else []
    return genotypes, {name: [row[name] for row in rows] for name in known}


def _metrics(api: Any, index: int) -> dict[str, float]:
    """Return all known results of a cell."""
    if api.fast_mode:  # a folder, with a file for each cell
        api.reload(api.archive_dir, index)
    epochs = max(api.arch2infos_dict[index], key=int)
    trained_on = api.arch2infos_dict[index][epochs].get_dataset_names()
    metrics: dict[str, float | None] = {}
    for dataset in filter(trained_on.__contains__, DATASETS):
        info = api.get_more_info(index, dataset, hp=epochs, is_random=False)
        for split in ("test", "valid"):
            metrics[f"{dataset}_{split}_accuracy"] = info.get(f"{split}-accuracy")
        costs = api.get_cost_info(index, dataset, hp=epochs)
        metrics |= {f"{dataset}_{name}": costs[name] for name in COSTS}
    del api.arch2infos_dict[index]  # all cells together take gigabytes
    return {name: value for name, value in metrics.items() if value is not None}
