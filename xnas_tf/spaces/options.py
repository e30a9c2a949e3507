"""Configuration of each search space, and creation of its HyperModel."""

from __future__ import annotations

import inspect
import re
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from xnas_tf.errors import InputError, suggest
from xnas_tf.keras_tools.weights_errors import explain_weights
from xnas_tf.registry import OBJECT, describe, find_object

if TYPE_CHECKING:
    import keras_tuner


class SpaceOptions(BaseModel):
    """Base class of a search space's configuration section, which plug-ins subclass."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    branches: ClassVar[int] = 1
    """Approximate number of a network's operations that can run at the same time. These operations
    share a rank's CPU threads equally."""
    optimizer: ClassVar[str] = "adam"
    """Default optimizer of models that are not compiled."""

    @property
    def hypermodel_module(self) -> str:
        """Name of the user's module that defines the HyperModel; empty if there is none.

        The module is imported before models are loaded, as it may register layers with Keras.
        """
        return ""

    @abstractmethod
    def create(self, image_shape: tuple[int, int, int], classes: int) -> keras_tuner.HyperModel:
        """Create the HyperModel.

        A HyperModel may also define the following. Each method receives the active hyperparameters.

        - ``genotype(values) -> str``: the canonical text of the architecture, by default all
          hyperparameters.
        - ``simplify(values) -> dict``: the simplest hyperparameters that give the same network,
          which are proposed instead.
        - ``identity(values) -> str``: only one network per identity is ever trained, so anything
          that affects training or measurements must change it; by default, the genotype.
        - ``infeasible(values) -> str | None``: the reason why no network can be built.
        - ``shows_all = True``: the default model and those of each ``conditional_scope`` together
          request all hyperparameters. Otherwise, a model is built for each value of each choice.
        - ``features(values) -> Sequence[float]``: additional inputs for surrogates, always of the
          same length.

        Args:
            image_shape: Shape of an image, (height, width, channels).
            classes: Number of classes.
        """


class NASBench201Options(SpaceOptions):
    """The 15,625 cells of NAS-Bench-201, by default in a small skeleton."""

    name: Literal["nas_bench_201"] = "nas_bench_201"
    optimizer: ClassVar[str] = "sgd"
    branches: ClassVar[int] = 2  # in a cell: measured in docs/benchmarks/performance.md, "Threads"
    channels: int = Field(
        8,
        ge=1,
        le=1024,
        description="number of channels in the first stack of cells; 16 in the paper",
    )
    cells_per_stack: int = Field(
        1, ge=1, le=100, description="number of cells in each of the three stacks; 5 in the paper"
    )

    def create(self, image_shape: tuple[int, int, int], classes: int) -> keras_tuner.HyperModel:
        """See ``SpaceOptions.create``."""
        from xnas_tf.spaces.nas_bench_201 import NASBench201  # noqa: PLC0415 - heavy

        return NASBench201(image_shape, classes, self.channels, self.cells_per_stack)


class VGGLikeOptions(SpaceOptions):
    """VGG-like chains of convolution blocks; see docs/reference/hypermodels.md.

    There are 4,446,000 networks with at most four blocks and 246,960 with at most three.
    """

    name: Literal["vgg_like"] = "vgg_like"
    optimizer: ClassVar[str] = "sgd"  # digits, 5 epochs, 10 networks: errors from 2%; adam: 9%
    channels: int = Field(
        16, ge=1, le=512, description="number of filters in the first block at width 1"
    )
    blocks: int = Field(4, ge=1, le=6, description="maximum number of blocks in a network")

    def create(self, image_shape: tuple[int, int, int], classes: int) -> keras_tuner.HyperModel:
        """See ``SpaceOptions.create``."""
        from xnas_tf.spaces.vgg_like import VGGLike  # noqa: PLC0415 - heavy

        return VGGLike(image_shape, classes, self.channels, self.blocks)


class HyperModelOptions(SpaceOptions):
    """Your own keras-tuner HyperModel; see docs/reference/hypermodels.md.

    The HyperModel's models receive images as floats in [0, 1].
    """

    name: Literal["hypermodel"] = "hypermodel"
    hypermodel: str = Field(
        description="`package.module:Name` of a HyperModel class or object, of a function that "
        "returns a HyperModel, or of a function `build(hp)`. If the class or function "
        "has parameters `input_shape` and `classes` (or `num_classes`, `n_classes`), "
        "they are passed to it"
    )
    options: dict[str, Any] = Field(
        {}, description="further arguments of the class or function, by name"
    )

    @field_validator("options")
    @classmethod
    def _check_none(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name, value in options.items():
            if value == "None":
                raise ValueError(f"given the string 'None' for {name}; in YAML, write null")
        return options

    @property
    def hypermodel_module(self) -> str:
        """See ``SpaceOptions.hypermodel_module``."""
        if self.hypermodel.startswith(OBJECT):  # see ``space_section`` of the tuner
            name = re.split(r"\(|\.<locals>", self.hypermodel.removeprefix(OBJECT))[0]
            return name.rpartition(".")[0]
        return self.hypermodel.partition(":")[0]

    def calls_any_function(self) -> bool:
        """Return whether ``create`` calls something other than a HyperModel or a ``build(hp)``.

        A configuration from somebody else can name any importable function here, with arguments. A
        function is trusted to be a ``build(hp)`` only if its first argument has this name.
        """
        import keras_tuner  # noqa: PLC0415 - heavy

        target = find_object(self.hypermodel, "HyperModel")
        if inspect.isclass(target):
            return not issubclass(target, keras_tuner.HyperModel)
        is_hypermodel = isinstance(target, keras_tuner.HyperModel)
        return not (is_hypermodel or next(iter(_parameters(target)), None) == "hp")

    def create(self, image_shape: tuple[int, int, int], classes: int) -> keras_tuner.HyperModel:
        """See ``SpaceOptions.create``.

        Raises:
            InputError: If the target cannot be imported or called, or is not a HyperModel.
        """
        import keras_tuner  # noqa: PLC0415 - heavy

        target = find_object(self.hypermodel, "HyperModel")
        if callable(target) and not isinstance(target, keras_tuner.HyperModel):
            names = ("classes", "num_classes", "n_classes")
            available = {"input_shape": image_shape, **dict.fromkeys(names, classes)}
            target = self._call(target, available)
        elif self.options:
            raise self._refused("is an object, not a class or function")
        if not isinstance(target, keras_tuner.HyperModel):
            raise InputError(
                f"HyperModel {self.hypermodel!r} is a {type(target).__name__}; allowed: a "
                "keras_tuner.HyperModel, a function that returns one, or a function build(hp)"
            )
        return target

    def _call(self, target: Any, available: dict[str, Any]) -> Any:
        import keras_tuner  # noqa: PLC0415 - heavy

        try:
            parameters = inspect.signature(target).parameters
            passed = {name: available[name] for name in parameters if name in available}
            missing = _required(parameters, passed | self.options)
            first = next(iter(parameters), None)
            is_builder = first == "hp" or (not inspect.isclass(target) and missing == [first])
            allowed = [name for name in parameters if not is_builder or name != first]
            takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
            unknown = [name for name in self.options if name not in allowed and not takes_any]
            if unknown:
                raise self._refused(f"has no parameter {suggest(unknown[0], allowed)}")
            if missing := [name for name in missing if name in allowed]:
                raise self._refused(
                    f"needs {', '.join(missing)}: add these there. Only "
                    f"{', '.join(available)} are passed automatically"
                )
            function = partial(target, **passed | self.options)
            if not is_builder:
                return function()
            wrapper = keras_tuner.HyperModel()
            wrapper.build = function
            return wrapper
        except InputError:
            raise
        except Exception as error:  # a user's code may raise anything at all
            why = explain_weights(error) or describe(error)
            raise InputError(
                f"HyperModel {self.hypermodel!r} could not be created: {why}"
            ) from error

    def _refused(self, why: str) -> InputError:
        return InputError(f"space.options: HyperModel {self.hypermodel!r} {why}")


def _parameters(target: Any) -> Mapping[str, inspect.Parameter]:
    """Return a function's parameters by name; none if they are unknown, as in some built-ins."""
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):
        return {}


def _required(parameters: Mapping[str, inspect.Parameter], given: Mapping[str, Any]) -> list[str]:
    """Return the names of required parameters that are not given."""
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in variable
        and name not in given
    ]
