"""A search with the interface of keras-tuner: ``Tuner(…).search(x, y, …)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from xnas_tf.candidate import Candidate
from xnas_tf.config import validate_config
from xnas_tf.errors import InputError
from xnas_tf.launcher.search import search
from xnas_tf.reporting.candidate_tables import CandidateList, pareto_table
from xnas_tf.reporting.wide_tables import split_to_fit
from xnas_tf.storage.run import Run
from xnas_tf.tuner.arrays import Arrays, stored
from xnas_tf.tuner.translation import checked_sections, described, space_section, translated

if TYPE_CHECKING:
    import keras
    import keras_tuner


class Tuner:
    """Searches through the models of a HyperModel, with several objectives.

    It has the arguments and methods of keras-tuner's tuners, and calls ``xt.search``. The run
    directory is ``directory/project_name``; all other commands work with it (``xnas-tf report``,
    …). The same search again resumes the run, or finds it finished.

    Args:
        hypermodel: A HyperModel, as an object or a class; a function ``build(hp)``;
            ``package.module:Name`` of one; or the name of a built-in space such as ``vgg_like``.
            Classes and functions may take ``input_shape`` and ``classes``.
        objectives: Names of objectives, such as ``error``; mappings of a name and options;
            ``val_accuracy``, ``val_loss``; or ``keras_tuner.Objective`` of any metric that the
            HyperModel compiles its models with.
        max_trials: How many candidates to train.
        directory: The folder of the runs.
        project_name: The name of the run.
        seed: The seed of the search.
        overwrite: Whether to move a run of that name aside and start again.
        config: Further sections of the configuration: ``{"training": {"optimizer": "adam"}}``.

    Raises:
        InputError: If an objective has no equivalent, or ``config`` has a key that another
            argument sets.
    """

    def __init__(
        self,
        hypermodel: Any,
        objectives: Any = ("error", "introspectability"),
        max_trials: int = 16,
        directory: str | Path = "runs",
        project_name: str = "untitled_project",
        seed: int = 0,
        overwrite: bool = False,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        is_list = isinstance(objectives, Sequence) and not isinstance(objectives, str)
        self.hypermodel = hypermodel
        self.objectives = [*map(translated, objectives if is_list else [objectives])]
        self.max_trials = max_trials
        self.run_dir = Path(directory) / project_name
        self.seed = seed
        self.overwrite = overwrite
        self._config = checked_sections(config or {})

    def search(
        self,
        x: Any,
        y: Any = None,
        validation_data: Arrays | None = None,
        validation_split: float | None = None,
        test_data: Arrays | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        class_names: Sequence[str] | None = None,
    ) -> Run | None:
        """Run the search, or resume it.

        Args:
            x: Images, (N, H, W) or (N, H, W, C), with values in any range (see
                docs/reference/data.md); models get them as floats in [0, 1]. Or the name of a data
                set, such as ``folder:pets``.
            y: Class numbers, (N,) or (N, 1), or one-hot vectors (N, classes).
            validation_data: Images and labels to compare candidates on.
            validation_split: The share of ``x`` to use for that if they are not given, by default
                0.2; drawn at random, the same share of each class.
            test_data: Images and labels for the final metrics. If not given, a share of ``x`` is
                used: 0.2, unless ``config`` sets ``dataset.test``.
            epochs: The number of epochs of a training.
            batch_size: The batch size of a training.
            class_names: Names of the classes.

        Returns:
            The finished run; None on ranks other than 0 of a Horovod job.

        Raises:
            InputError: If an argument is invalid.
            RunError: If the search cannot continue, or no candidate finished.
        """
        if isinstance(x, str):
            if y is not None or validation_data or test_data:
                raise InputError(f"data set {x!r} has its own labels and splits: leave y out")
            name = x
        else:
            name = stored(self.run_dir, (x, y), validation_data, test_data, class_names)
        given: dict[str, dict[str, Any]] = {
            "dataset": {"name": name, "validation": validation_split},
            "training": {"epochs": epochs, "batch_size": batch_size},
            "search": {"candidates": self.max_trials, "seed": self.seed},
        }
        sections = {**self._config, "objectives": self.objectives}
        sections["space"] = space_section(self.hypermodel)
        for section, values in given.items():
            known = {key: value for key, value in values.items() if value is not None}
            sections[section] = {**(self._config.get(section) or {}), **known}
        config = validate_config(sections, "xt.Tuner")
        return search(config, self.run_dir, fresh=self.overwrite)

    @property
    def run(self) -> Run:
        """The run; raises an ``InputError`` if there was no search yet."""
        return Run(self.run_dir)

    def pareto(self) -> list[Candidate]:
        """Return the Pareto-optimal candidates, best in the first objective first."""
        return self.run.pareto()

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[keras_tuner.HyperParameters]:
        """Return the hyperparameters of the best candidates.

        The recommended candidate comes first, then the others on the front, then the rest, both
        best in the first objective first.
        """
        import keras_tuner  # noqa: PLC0415 - heavy

        best = []
        for candidate in self._ordered(self.run)[:num_trials]:
            hp = keras_tuner.HyperParameters()
            hp.values = dict(candidate.hyperparameters)
            best.append(hp)
        return best

    def get_best_models(self, num_models: int = 1, safe: bool = True) -> list[keras.Model]:
        """Return the trained models of the best candidates.

        They are in the order of ``get_best_hyperparameters``. Only models of candidates that were
        on the front when they finished are kept. ``safe`` is that of ``Candidate.load_model``.
        """
        kept = [c for c in self._ordered(self.run) if c.model_path is not None]
        return [candidate.load_model(safe) for candidate in kept[:num_models]]

    def results_summary(self, num_trials: int = 10) -> None:
        """Print a table of the best candidates.

        A star marks those on the front, two stars the recommended one; the reason is below.
        """
        run = self.run
        recommended = run.recommendation()
        front = {candidate.id for candidate in run.pareto()}
        shown = CandidateList(run, self._ordered(run)[:num_trials], front, recommended)
        console = Console()
        console.print(f"Results in {run.path}")
        for part in split_to_fit(pareto_table(shown), console):
            console.print(part)
        console.print(f"recommended: {recommended.text}", markup=False, soft_wrap=True)

    def search_space_summary(self) -> None:
        """Print the hyperparameters, their values, and when they are active.

        Raises:
            InputError: If no search began yet: the search space may depend on the images.
        """
        from xnas_tf.spaces.search_space import SearchSpace  # noqa: PLC0415 - heavy

        run = self.run
        space_section(self.hypermodel)  # as this process names it
        facts = run.fact("dataset")
        if facts is None:
            raise InputError(f"{run.path} does not say what its images are: search first")
        shape, classes = tuple(facts["image_shape"]), len(facts["class_names"])
        space = SearchSpace(run.config.space.create(shape, classes), shape, classes)
        print(f"Search space: {space.name}, at most {space.size:g} architectures")
        for variable in space.variables:
            print(f"  {described(variable)}")

    @staticmethod
    def _ordered(run: Run) -> list[Candidate]:
        """Return the finished candidates: the recommended one, then the front, then the rest."""
        first = run.config.objectives[0]
        front = {candidate.id for candidate in run.pareto()}
        recommended = run.recommendation().id

        def sort_key(c: Candidate) -> tuple[bool, bool, float, int]:
            value = first.sign * c.objectives[first.name]
            return c.id != recommended, c.id not in front, value, c.id

        return sorted((c for c in run.candidates() if c.state == "done"), key=sort_key)
