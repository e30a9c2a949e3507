"""A search with keras-tuner's interface, as in ``Tuner(…).search(x, y, …)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.errors import InputError
from xnas_tf.execution.callbacks import Callback
from xnas_tf.launcher.search import search
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import CONFIG
from xnas_tf.tuner.arguments import OF_FIT, OF_TUNERS, check_hooks, refuse, split_callbacks
from xnas_tf.tuner.arrays import Arrays, stored
from xnas_tf.tuner.summaries import print_results, print_space
from xnas_tf.tuner.translation import checked_sections, objectives_of, space_section, validated
from xnas_tf.utils.argument_types import NUMBER, WHOLE, check_types
from xnas_tf.utils.markup import short_repr
from xnas_tf.utils.user_warnings import warn_user

if TYPE_CHECKING:
    import keras
    import keras_tuner

VERBOSE = {"auto": 1, 0: 0, 1: 1, 2: 2}
"""Values of ``verbose`` in Keras, and the corresponding values for ``xt.search``."""


class Tuner:
    """Tuner that searches the models of a HyperModel, with one or more objectives.

    The class has the arguments and methods of keras-tuner's tuners, and calls ``xt.search``. The
    run directory is ``directory/project_name``, and all other commands, such as ``xnas-tf report``,
    can use it. Repeating the same search resumes the run unless it is finished.

    Args:
        hypermodel: A HyperModel, as an object or a class; a function ``build(hp)``; the path
            ``package.module:Name`` of one of these; or the name of a built-in space such as
            ``vgg_like``. Classes and functions may take ``input_shape`` and ``classes``.
        objective: An objective or a list of them. Each is ``val_accuracy``, ``val_loss`` or another
            Keras metric; a ``keras_tuner.Objective`` for any metric that the HyperModel compiles
            its models with; the name of an objective, such as ``introspectability``; or a mapping
            with its name and options.
        max_trials: Number of candidates to train.
        directory: The folder for runs.
        project_name: The name of the run.
        seed: The seed of the search; 0 if None.
        overwrite: Whether the first search moves an existing run with this name aside and starts a
            new one. Further searches of the same ``Tuner`` resume this new run.
        config: Settings that have no argument of their own, keyed by configuration section, such as
            ``{"training": {"optimizer": "adam"}}``.
        **others: Other arguments of keras-tuner's tuners, which are rejected with a suggestion
            unless their value has no effect.

    Raises:
        InputError: If an argument is invalid or has no equivalent, ``config`` has a key that
            another argument sets, or a subclass has methods that are never called.
    """

    @check_types(max_trials=WHOLE, seed=WHOLE)
    def __init__(
        self,
        hypermodel: Any,
        objective: Any = ("error", "introspectability"),
        max_trials: int = 16,
        *,
        directory: str | Path | None = "runs",
        project_name: str | None = "untitled_project",
        seed: int | None = None,
        overwrite: bool = False,
        config: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> None:
        check_hooks(type(self))
        refuse(others, OF_TUNERS, Tuner.__init__)
        space_section(hypermodel)
        self._hypermodel = hypermodel
        self._overwrite = overwrite
        self._config = {**checked_sections(config or {}), "objectives": objectives_of(objective)}
        searched = {"candidates": max_trials, "seed": seed or 0}
        self._config["search"] = {**(self._config.get("search") or {}), **searched}
        for name, given in (("directory", directory), ("project_name", project_name)):
            if not isinstance(given, str | Path | None):
                raise InputError(f"`{name}` is of type {type(given).__name__}; allowed: a path")
        self.run_dir = Path(directory or "runs") / (project_name or "untitled_project")
        validated(self._config)

    @check_types(epochs=WHOLE, batch_size=WHOLE, validation_split=NUMBER)
    def search(  # noqa: PLR0913 - those of Keras' fit
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        validation_data: Arrays | None = None,
        validation_split: float | None = None,
        test_data: Arrays | None = None,
        callbacks: Any = (),
        class_weight: Mapping[Any, float] | None = None,
        class_names: Sequence[str] | None = None,
        verbose: int | str = 1,
        **others: Any,
    ) -> Run | None:
        """Run the search, or resume it.

        Args:
            x: Images, (N, H, W) or (N, H, W, C), with values in any range (see
                docs/reference/data.md); models get them as floats in [0, 1]. Alternatively, a
                ``tf.data.Dataset`` of images and labels, batched or not, which is read once; or the
                name of a data set, such as ``folder:pets``.
            y: Labels: numbers or strings, (N,) or (N, 1), or one-hot vectors, (N, classes).
            epochs: Number of epochs for which to train each candidate.
            batch_size: The batch size for training. Unlike in Keras' ``fit``, a smaller last batch
                is left out, with different images in each epoch.
            validation_data: Images and labels on which to compare candidates, as a pair or a
                ``tf.data.Dataset``.
            validation_split: The share of ``x`` to use if ``validation_data`` is not given, by
                default 0.2. These images are drawn at random, with the same share of each class.
            test_data: Images and labels for the final metrics. If not given, a share of ``x`` that
                defaults to 0.2 is used; ``config`` can set another share with ``dataset.test``.
            callbacks: Keras callbacks, which are copied for each candidate. Callbacks that write
                files use a separate folder for each candidate, such as ``candidate-00007``. An
                ``xnas_tf.Callback`` is called during the search.
            class_weight: The weight of each class in the loss, by its label, as in Keras' ``fit``.
            class_names: Names of the classes.
            verbose: Output level: 0 for warnings only, 1 or "auto" to add progress, 2 to add a line
                per epoch.
            **others: Other arguments of Keras' ``fit``, which are rejected with a suggestion unless
                their value has no effect.

        Returns:
            The finished run; None on ranks other than 0 of a Horovod job.

        Raises:
            InputError: If an argument is invalid.
            RunError: See ``xt.search``.
        """
        from xnas_tf.training.keras_callbacks import register_callbacks  # noqa: PLC0415 - heavy

        refuse(others, OF_FIT, Tuner.search)
        if not isinstance(verbose, str | Integral) or verbose not in VERBOSE:
            raise InputError(f"`verbose`: given {verbose!r}; allowed: 'auto', 0, 1 or 2")
        of_training, of_search = split_callbacks(callbacks)
        if validation_data is not None and validation_split == 0:  # the default of Keras's fit
            validation_split = None
        given: dict[str, dict[str, Any]] = {
            "dataset": {"validation": validation_split},
            "training": {
                "epochs": epochs,
                "batch_size": batch_size,
                "class_weight": class_weight,
                "callbacks": register_callbacks(of_training) or None,
            },
        }
        if isinstance(x, str):
            if any(each is not None for each in (y, validation_data, test_data, class_names)):
                raise InputError(
                    f"data set {x!r} has its own labels, splits and class names: leave out `y`, "
                    "`validation_data`, `test_data` and `class_names`"
                )
            return self._search(x, given, of_search, verbose)
        data = stored(self.run_dir, (x, y), validation_data, test_data, class_names)
        with data.removed_if_refused(self.run_dir):
            if class_weight is not None:
                given["training"]["class_weight"] = data.weights(class_weight)
            return self._search(data.name, given, of_search, verbose)

    def _search(
        self,
        dataset: str,
        given: dict[str, dict[str, Any]],
        callbacks: Sequence[Callback],
        verbose: int | str,
    ) -> Run | None:
        """Run the search on a data set, with the given values of configuration keys."""
        given["dataset"]["name"] = dataset
        sections = {**self._config, "space": space_section(self._hypermodel)}
        for section, values in given.items():
            known = {key: value for key, value in values.items() if value is not None}
            sections[section] = {**(self._config.get(section) or {}), **known}
        before = self._directory_id()
        try:
            return search(
                validated(sections),
                self.run_dir,
                fresh=self._overwrite,
                callbacks=callbacks,
                verbose=VERBOSE[verbose],
            )
        except InputError as error:  # the message names arguments of ``xt.search``
            text = str(error).replace("`run_dir`", "`project_name`")
            error.args = (text.replace("`fresh`", "`overwrite` in a new Tuner"),)
            raise
        finally:  # as in keras-tuner, the next search of this Tuner resumes the new run
            self._overwrite = self._overwrite and self._directory_id() == before

    def _directory_id(self) -> tuple[int, int] | None:
        """Return what identifies the run directory even if it is moved; None if there is none."""
        if not self.run_dir.is_dir():
            return None
        found = self.run_dir.stat()
        return found.st_dev, found.st_ino

    def __repr__(self) -> str:
        config = validated(self._config)
        objectives = ", ".join(objective.name for objective in config.objectives)
        trials = config.search.candidates
        return short_repr(self, run=self.run_dir, objectives=objectives, max_trials=trials)

    @property
    def hypermodel(self) -> keras_tuner.HyperModel:
        """The HyperModel, for use as in ``tuner.hypermodel.build(best_hp)``."""
        return self._space().create(*self._data()[:2])

    def _space(self) -> Any:
        return Config(space=space_section(self._hypermodel)).space  # registered in this process

    def _data(self) -> tuple[tuple[int, int, int], int, bool]:
        """Return the image shape and number of classes, and whether they come from a run."""
        facts = Run(self.run_dir).fact("dataset") if (self.run_dir / CONFIG).is_file() else None
        if facts is None:
            from xnas_tf.tuner.rebuilding import assumed_data  # noqa: PLC0415 - heavy

            return *assumed_data(self._space()), False
        height, width, channels = facts["image_shape"]
        return (height, width, channels), len(facts["class_names"]), True

    @property
    def run(self) -> Run:
        """The run; accessing it raises an ``InputError`` if no search has been started yet."""
        return Run(self.run_dir)

    def pareto(self) -> list[Candidate]:
        """Return the Pareto-optimal candidates, sorted by the first objective, best first."""
        return self.run.pareto()

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[keras_tuner.HyperParameters]:
        """Return the hyperparameters of the best candidates.

        The recommended candidate comes first, then the others on the front, and then the rest, both
        sorted by the first objective, best first. Those that violate constraints come last. With
        ``search.fidelity``, those trained for more epochs come first, and promoted ones occur once.
        """
        import keras_tuner  # noqa: PLC0415 - heavy

        best = []
        for candidate in self._ordered(self.run)[:num_trials]:
            hp = keras_tuner.HyperParameters()
            hp.values = dict(candidate.hyperparameters)
            best.append(hp)
        return best

    def get_best_models(self, num_models: int = 1, safe: bool = True) -> list[keras.Model]:
        """Return the trained models of the best candidates, ready to ``evaluate``.

        The models expect values from 0 to 1, as in ``model.evaluate(tuner.run.prepare(x),
        numbers)``. If the search's images had other values, a warning says so.

        The models are built by the HyperModel, compiled by it or as in the search, and have the
        trained weights. They are in the same order as in ``get_best_hyperparameters``. Only the
        models of candidates that were on the front when they finished are kept. See
        ``Candidate.load_model`` for ``safe``.

        Raises:
            InputError: If the code of the HyperModel has changed since the search.
        """
        from xnas_tf.tuner.rebuilding import rebuilt_model  # noqa: PLC0415 - heavy

        run = self.run
        low, high = run.fact("value_range") or (0, 1)
        if (low, high) != (0, 1):
            shape = ", ".join(map(str, self._data()[0]))
            warn_user(
                f"these models expect images of shape (N, {shape}) with values "
                "from 0 to 1, but those of the search had "
                f"{low:.6g} to {high:.6g}: model.evaluate(tuner.run.prepare(x), numbers)"
            )
        kept = [c for c in self._ordered(run) if c.model_path is not None]
        return [
            rebuilt_model(candidate, run, self.hypermodel, self._data()[0], safe)
            for candidate in kept[:num_models]
        ]

    def results_summary(self, num_trials: int = 10) -> None:
        """Print a table of the best candidates.

        One star marks candidates on the front, and two stars mark the recommended one. Collapsed
        candidates have a remark instead of a star. The reason for the recommendation is given
        below the table.
        """
        print_results(self.run, self._ordered(self.run)[:num_trials])

    def search_space_summary(self) -> None:
        """Print the hyperparameters, their values, and when they are active.

        Before the search, the image shape and number of classes are assumed to be those that the
        default model expects.

        Raises:
            InputError: If the HyperModel cannot build models that are suitable for a search.
        """
        from xnas_tf.spaces.search_space import SearchSpace  # noqa: PLC0415 - heavy

        shape, classes, is_known = self._data()
        space = SearchSpace(self.hypermodel, shape, classes)
        print_space(space, None if is_known else (shape, classes))

    @staticmethod
    def _ordered(run: Run) -> list[Candidate]:
        """Return the finished candidates in the order of ``get_best_hyperparameters``."""
        first = run.config.objectives[0]
        front = {candidate.id for candidate in run.pareto()}
        recommended = run.recommendation().id
        done = [candidate for candidate in run.candidates() if candidate.state == "done"]
        promoted = {candidate.promoted_from for candidate in done}

        def sort_key(c: Candidate) -> tuple[bool, bool, bool, int, float, int]:
            value = first.sign * c.objectives[first.name]
            is_outside = bool(c.violations(run.config.constraints))
            return c.id != recommended, c.id not in front, is_outside, -c.epochs, value, c.id

        return sorted((c for c in done if c.id not in promoted), key=sort_key)
