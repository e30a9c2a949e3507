"""Trains random cells of the quickstart's space with several seeds, and keeps them in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.debuggability import draw_cells
from xnas_tf.spaces.cells import format_genotype, network_of
from xnas_tf.utils.environment import set_defaults

if TYPE_CHECKING:
    import keras

    from xnas_tf.candidate import Candidate
    from xnas_tf.distributed import Communicator
    from xnas_tf.evaluation.evaluator import Evaluator
    from xnas_tf.objectives.base import Subject


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        cell: Number of the cell, in the order in which cells are drawn.
        operations: The cell's operations, by edge.
        seed: Seed for the initial weights and the order of the images.
    """

    cell: int
    operations: dict[str, str]
    seed: int

    @property
    def name(self) -> str:
        """The name of the training's file."""
        return f"{self.cell:02d}-{self.seed}"


def jobs(cells: int, seeds: int) -> list[Job]:
    """Return jobs for random cells with different networks, seed by seed, with seeds from 0."""
    distinct: dict[str, tuple[int, dict[str, str]]] = {}
    for number, cell in enumerate(draw_cells(2 * cells, np.random.default_rng(0))):
        distinct.setdefault(network_of(cell), (number, cell))
    drawn = list(distinct.values())[:cells]
    return [Job(number, cell, seed) for seed in range(seeds) for number, cell in drawn]


class Bench:
    """The quickstart's data, space and training, with the network that a search shares between its
    candidates.

    Args:
        folder: Folder for the models, and for ``trained.jsonl`` with a line for each model.
    """

    def __init__(self, folder: Path) -> None:
        set_defaults()
        import xnas_tf.distributed
        from xnas_tf.config import Config
        from xnas_tf.data import load_dataset
        from xnas_tf.evaluation.validator import validation_order

        config = Config()
        self._epochs = config.training.epochs
        self._communicator: Communicator = xnas_tf.distributed.start(config.distributed, True)
        self.dataset = load_dataset(**config.dataset.model_dump())
        self._validation = self.dataset.validation.take(validation_order(config, self.dataset))
        self._folder = folder

    @cached_property
    def _trainer(self) -> Evaluator:
        return self._evaluator("error")

    @cached_property
    def _measurer(self) -> Evaluator:
        """An evaluator that is ready to explain networks, having trained and explained one."""
        sources = "[activations, grad_cam, integrated_gradients]"
        found = self._evaluator(f"{{name: introspectability, sources: {sources}}}")
        found.evaluate(self._candidate(jobs(1, 1)[0]))
        return found

    def _evaluator(self, objective: str) -> Evaluator:
        from xnas_tf.config import load_config
        from xnas_tf.evaluation.evaluator import Evaluator
        from xnas_tf.evaluation.supernet.backend import SupernetBackend
        from xnas_tf.spaces.search_space import SearchSpace

        config = load_config(overrides=[f"objectives=[{objective}]"])
        shape, classes = self.dataset.image_shape, self.dataset.classes
        space = SearchSpace(config.space.create(shape, classes), shape, classes)
        given = config, self.dataset, space, self._communicator
        return Evaluator(*given, SupernetBackend(*given))

    def train(self, job: Job) -> None:
        """Train a cell as a search would, unless the folder contains it, and keep the model."""
        path = self._folder / f"{job.name}.keras"
        if path.is_file():
            return

        def keep(outcome: Any, model: keras.Model) -> None:
            line = {
                "cell": job.cell,
                "genotype": format_genotype(job.operations),
                "seed": job.seed,
                "error": outcome.objectives["error"],
            }
            model.save(path)
            with (self._folder / "trained.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")

        outcome = self._trainer.evaluate(self._candidate(job), keep)
        if outcome.state != "done":
            raise SystemExit(f"{job} {outcome.state}: {outcome.reason}")

    def trained(self) -> Iterator[dict[str, Any]]:
        """Return the line of each model in the folder."""
        for line in (self._folder / "trained.jsonl").read_text().splitlines():
            yield json.loads(line)

    def subject(self, job: Job) -> Subject:
        """Return a kept model as objectives see it, with all validation images in search order."""
        import keras

        from xnas_tf.objectives.base import Subject

        model = keras.models.load_model(self._folder / f"{job.name}.keras")
        part, names = self._validation, self.dataset.class_names
        backend, images = self._measurer.backend, len(self.dataset.test)
        access = backend.reloaded(self._candidate(job), model, images)
        return Subject(
            model,
            self._communicator,
            names,
            part.images,
            part.labels,
            access.predictor(part.images),
            shared_models=access.shared_models,
        )

    def _candidate(self, job: Job) -> Candidate:
        from xnas_tf.candidate import Candidate

        return Candidate(1, "", job.operations, seed=job.seed, epochs=self._epochs)
