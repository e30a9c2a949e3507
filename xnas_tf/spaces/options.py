"""The configuration of each search space, and how it becomes a HyperModel."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from xnas_tf.errors import InputError, suggest
from xnas_tf.registry import describe, import_object

if TYPE_CHECKING:
    import keras_tuner


class SpaceOptions(BaseModel):
    """A search space's section of the configuration; plug-ins subclass it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    branches: ClassVar[int] = 1
    """How many operations of a network can run at once, roughly: each gets as large a share of a
    rank's CPU threads."""
    optimizer: ClassVar[str] = "adam"
    """Trains models that are not compiled, unless the configuration says otherwise."""

    @abstractmethod
    def create(self, image_shape: tuple[int, int, int], classes: int) -> keras_tuner.HyperModel:
        """Returns the HyperModel for images (H, W, C) of so many classes.

        A HyperModel may also have some of these, all given the active hyperparameters:

        - ``genotype(values) -> str``: the canonical text.
        - ``simplify(values) -> dict``: the plainest hyperparameters of the same network, which
          are then proposed in their place.
        - ``identity(values) -> str``: two architectures of the same identity are the same
          network, and only one is ever trained: whatever changes what is trained or measured
          must change the identity. Without it the genotype is the identity.
        - ``infeasible(values) -> str | None``: why no network can be built.
        - ``shows_all = True``: its default model, and those that ``conditional_scope`` leads to,
          ask for all hyperparameters; else a model is built for each value of each choice, to
          see what it leads to.
        - ``features(values) -> Sequence[float]``: further numbers, always as many, from which a
          surrogate may predict objectives.
        """


class NASBench201Options(SpaceOptions):
    """The 15,625 cells of NAS-Bench-201; the defaults are the published skeleton."""

    name: Literal["nas_bench_201"] = "nas_bench_201"
    optimizer: ClassVar[str] = "sgd"
    branches: ClassVar[int] = 2  # of a cell: measured in docs/performance.md, "Threads"
    channels: int = Field(16, ge=1, le=1024, description="of the first stack of cells")
    cells_per_stack: int = Field(5, ge=1, le=100)

    def create(self, image_shape: tuple[int, int, int], classes: int) -> keras_tuner.HyperModel:
        """See ``SpaceOptions.create``."""
        from xnas_tf.spaces.nas_bench_201 import NASBench201

        return NASBench201(image_shape, classes, self.channels, self.cells_per_stack)


class VGGLikeOptions(SpaceOptions):
    """Chains of convolution blocks in the manner of VGG: 4,446,000 networks with four blocks at
    most, 246,960 with three; see docs/models.md."""

    name: Literal["vgg_like"] = "vgg_like"
    optimizer: ClassVar[str] = "sgd"  # digits, 5 epochs, 10 networks: errors from 2%; of adam 9%
    channels: int = Field(16, ge=1, le=512, description="filters of the first block at width 1")
    blocks: int = Field(4, ge=1, le=6, description="the most that a network may have")

    def create(self, image_shape: tuple[int, int, int], classes: int) -> keras_tuner.HyperModel:
        """See ``SpaceOptions.create``."""
        from xnas_tf.spaces.vgg_like import VGGLike

        return VGGLike(image_shape, classes, self.channels, self.blocks)


class HyperModelOptions(SpaceOptions):
    """A user's own keras-tuner HyperModel. Images come as floats in [0, 1]."""

    name: Literal["hypermodel"] = "hypermodel"
    hypermodel: str = Field(
        description="`package.module:Name` of a HyperModel class, of a function that returns "
        "a HyperModel, or of a function `build(hp)`; those of `input_shape` and `classes` "
        "that a class or function takes as parameters are passed",
    )
    options: dict[str, Any] = Field(
        {}, description="further arguments of the class or function, by name"
    )

    def create(self, image_shape: tuple[int, int, int], classes: int) -> keras_tuner.HyperModel:
        """See ``SpaceOptions.create``.

        Raises:
            InputError: If the target cannot be imported or called, or is no HyperModel.
        """
        import keras_tuner

        target = given_object(self.hypermodel) or import_object(self.hypermodel, "HyperModel")
        if callable(target) and not isinstance(target, keras_tuner.HyperModel):
            target = self._call(target, {"input_shape": image_shape, "classes": classes})
        elif self.options:
            self._refuse_options("is an object, not a class or function")
        if not isinstance(target, keras_tuner.HyperModel):
            raise InputError(
                f"HyperModel {self.hypermodel!r} is a {type(target).__name__}; allowed: a "
                "keras_tuner.HyperModel, a function that returns one, or a function build(hp)"
            )
        return target

    def _call(self, target: Any, available: dict[str, Any]) -> Any:
        import keras_tuner

        try:
            parameters = inspect.signature(target).parameters
            self._check_options(parameters)
            if list(parameters)[:1] == ["hp"]:
                wrapper = keras_tuner.HyperModel()
                wrapper.build = partial(target, **self.options)
                return wrapper
            passed = {name: available[name] for name in parameters if name in available}
            return target(**{**passed, **self.options})
        except InputError:
            raise
        except Exception as error:  # a user's code may raise anything at all
            raise InputError(
                f"HyperModel {self.hypermodel!r} could not be made: {describe(error)}"
            ) from error

    def _check_options(self, parameters: Mapping[str, inspect.Parameter]) -> None:
        if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            return
        allowed = [name for name in parameters if name != "hp"]
        if unknown := [name for name in self.options if name not in allowed]:
            self._refuse_options(f"has no parameter {suggest(unknown[0], allowed)}")

    def _refuse_options(self, why: str) -> None:
        raise InputError(f"space.options: HyperModel {self.hypermodel!r} {why}")


OBJECT = "object:"
"""Begins the name of a HyperModel that was given as an object, which no name leads to."""
_given: dict[str, Any] = {}


def name_object(hypermodel: Any) -> str:
    """Names an object for this process: a HyperModel, or a function ``build(hp)``, that cannot be
    imported by a name."""
    kind = hypermodel if hasattr(hypermodel, "__qualname__") else type(hypermodel)
    name = f"{OBJECT}{kind.__module__}.{kind.__qualname__}"
    _given[name] = hypermodel
    return name


def given_objects() -> dict[str, Any]:
    """All objects of this process by name, for another process."""
    return dict(_given)


def take_objects(objects: dict[str, Any]) -> None:
    """Takes over what ``given_objects`` of another process gave."""
    _given.update(objects)


def given_object(name: str) -> Any | None:
    """The object that was named so; None for names of what can be imported.

    Raises:
        InputError: If it was given in another process.
    """
    if not name.startswith(OBJECT):
        return None
    if name not in _given:
        raise InputError(
            f"HyperModel {name!r} was given to xt.Tuner as an object, which this process does not "
            "have: run the same script again, or give the HyperModel as 'package.module:Name'"
        )
    return _given[name]
