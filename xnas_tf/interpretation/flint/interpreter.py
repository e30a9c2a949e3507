"""Predictors with an interpreter, as Keras models that compile, fit, save and load like others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.distributed import Communicator, SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.interpretation.classifier import examine
from xnas_tf.interpretation.feature_taps import Tap, find_taps, tapped
from xnas_tf.interpretation.flint import layers as networks
from xnas_tf.interpretation.flint import losses
from xnas_tf.interpretation.flint.options import FlintOptions, settings_for
from xnas_tf.keras_tools.input_range import OURS, RANGES, check_range, declare_range, from_unit
from xnas_tf.keras_tools.inspection import inlined_calls, is_functional, linear_output

PACKAGE = "xnas_tf"
"""Under which Keras finds the classes again when it loads a file."""


class Seen(NamedTuple):
    """What predictor and interpreter make of images.

    Attributes:
        predictor: Logits of f, (B, classes).
        attributes: Φ, (B, J), non-negative.
        interpreter: Logits of g, (B, classes).
        decoded: d(Φ), (B, H, W, C).
    """

    predictor: tf.Tensor
    attributes: tf.Tensor
    interpreter: tf.Tensor
    decoded: tf.Tensor


class _Interpreted(keras.Model):
    """A predictor f, attributes Φ = Ψ(hidden layers of f), a linear classifier g on them, and
    a decoder d from them to the image.

    Images (B, H, W, C) come in [0, 1]. The model is built at once if the predictor says which
    images it takes, else when it is first called.

    Args:
        model: A Keras image classifier of any kind.
        attributes: J; that of the settings if None.
        layers: Names or patterns of the layers that Ψ sees; see ``networks.default_taps`` for
            those chosen if None.
        attribute_network: Ψ: a model from the list of these layers' outputs (from the one
            output, if there is one layer) to J non-negative attributes.
        decoder: d: a model from (B, J) to images.
        settings: Of the training: a name in ``settings.SETTINGS``, or values; those of the
            kind of images if None.
        input_range: The values that the predictor takes: ``0-1``, ``0-255`` or ``-1-1``.
        seed: Of the initial weights of Ψ, g and d.
        name: The model's name.

    Raises:
        InputError: If something given is wrong, or no such interpreter can be made.
    """

    is_by_design: bool

    def __init__(
        self,
        model: keras.Model,
        attributes: int | None = None,
        layers: Sequence[str] | None = None,
        attribute_network: keras.Model | None = None,
        decoder: keras.Model | None = None,
        settings: str | FlintOptions | Mapping[str, Any] | None = None,
        input_range: str = OURS,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not isinstance(model, keras.Model):
            raise InputError(f"given a {type(model).__name__}; allowed: a Keras model")
        settings_for(settings, 1, attributes)  # what is wrong is said before anything is built
        self.predictor = model
        self.attribute_network = attribute_network
        self.decoder = decoder
        self.communicator: Communicator = SingleProcess()
        declare_range(self)  # whatever the predictor takes
        self._given = {
            "attributes": attributes,
            "layers": [layers] if isinstance(layers, str) else layers and list(layers),
            "settings": settings,
            "input_range": check_range(input_range, list(RANGES)),
            "seed": seed,
        }
        self._has_own = {"attribute_network": attribute_network, "decoder": decoder}
        shape = model.input_shape if is_functional(model) else None
        if isinstance(shape, tuple) and None not in shape[1:]:
            self.build(shape)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the interpreter for images of a shape (B, H, W, C)."""
        if self.built:
            return
        if len(input_shape) != 4:
            raise InputError(f"the model's input is {input_shape}; allowed: (N, H, W, C)")
        given, shape = self._given, tuple(input_shape[1:])
        self.image_shape = shape
        self.settings = settings_for(given["settings"], shape[-1], given["attributes"])
        with tf.init_scope():  # real images, though Keras may be tracing
            # Noise, as zeros may look like the output of a softmax to ``examine``.
            sample = np.random.default_rng(0).random((2, *shape), np.float32)
            sample = self._shown(tf.constant(sample))
            self.classes, self._ending = examine(self.predictor, sample)
            self._taps = self._chosen(sample)
            hidden = self._predict(sample, training=False)[1]
        size, seed = self.settings.attributes, given["seed"]
        if self.attribute_network is None:
            shapes = [tuple(maps.shape[1:]) for maps in hidden]
            self.attribute_network = networks.attribute_network(shapes, size, 3 * seed)
        if self.decoder is None:
            self.decoder = networks.decoder(shape, size, 3 * seed + 1)
        self.linear = networks.linear(self.classes, 3 * seed + 2)
        self.linear.build((None, size))
        self._loss_weights = self.add_weight(shape=(4,), trainable=False, name="loss_weights")
        self._loss_weights.assign(self.settings.final)
        self._check_parts(hidden, shape)
        super().build(input_shape)

    def _chosen(self, sample: tf.Tensor) -> list[Tap]:
        wanted = self._given["layers"]
        found = find_taps(self.predictor, sample, wanted)
        return found if wanted else networks.default_taps(found)

    def _check_parts(self, hidden: list[tf.Tensor], shape: tuple[int, ...]) -> None:
        """Refuses an attribute network or a decoder that doesn't fit."""
        size = self.settings.attributes
        with tf.init_scope():
            found = self._attributes(hidden)
            if tuple(found.shape) != (2, size) or float(tf.reduce_min(found)) < 0:
                raise InputError(
                    f"the attribute network returns {tuple(found.shape)} with the smallest value "
                    f"{float(tf.reduce_min(found)):.3g}; allowed: (images, {size}), from 0"
                )
            decoded = self.decoder(found)
            if tuple(decoded.shape) != (2, *shape):
                raise InputError(
                    f"the decoder returns {tuple(decoded.shape)}; allowed: {(2, *shape)}"
                )

    @property
    def layer_names(self) -> list[str]:
        """The layers that Ψ sees."""
        return [tap.name for tap in self._taps]

    def look(self, images: tf.Tensor, training: bool = False) -> Seen:
        """What predictor and interpreter make of images (B, H, W, C) in [0, 1]."""
        logits, hidden = self._predict(self._shown(images), training and self.is_by_design)
        attributes = self._attributes(hidden)
        return Seen(logits, attributes, self.linear(attributes), self.decoder(attributes))

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Class probabilities (B, classes): of f by design, of g post-hoc."""
        seen = self.look(inputs, training)
        self.add_loss(self._interpretation_loss(inputs, seen, training))
        return tf.nn.softmax(seen.predictor if self.is_by_design else seen.interpreter)

    def _interpretation_loss(self, images: tf.Tensor, seen: Seen, training: bool) -> tf.Tensor:
        """β L_of + γ L_if + L_cd, with the weights of the present epoch."""
        mean = self._mean_of_all_ranks if training else losses.batch_mean
        parts = [
            losses.output_fidelity(seen.predictor, seen.interpreter),
            losses.input_fidelity(images, seen.decoded, self.settings.distance),
            losses.conciseness(seen.attributes, mean),
            losses.sparsity(seen.attributes),
        ]
        return tf.reduce_sum(tf.convert_to_tensor(self._loss_weights) * tf.stack(parts))

    def _mean_of_all_ranks(self, attributes: tf.Tensor) -> tf.Tensor:
        """The mean over a batch that several ranks share, with each rank's own gradient: the
        gradients that they add up, each weighted by the rank's share, are those of one rank."""
        mine = losses.batch_mean(attributes)
        if self.communicator.size == 1:
            return mine
        count = tf.cast(tf.shape(attributes)[0], tf.float32)
        parts = [tf.reduce_sum(attributes, axis=0), count]
        total, count = self.communicator.sum_tensors(
            [tf.stop_gradient(each) for each in parts], "attributes"
        )
        return mine + tf.stop_gradient(total / count - mine)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Gives the losses their weights in one epoch of a training.

        Args:
            epoch: Which epoch, from 0.
            epochs: How many there are.
        """
        self._loss_weights.assign(self.settings.weights(epoch, epochs))

    def fit(self, x: Any = None, *args: Any, callbacks: Any = None, **options: Any) -> Any:
        """See ``keras.Model.fit``; the weights of the losses follow their schedule.

        Raises:
            InputError: If f would learn nothing, as ``compile`` was given no loss for it.
        """
        if self.is_by_design and self.loss is None:
            raise InputError(
                "compile was given no loss, so that f would learn nothing; give one for class "
                "probabilities, such as 'sparse_categorical_crossentropy'"
            )
        if not self.built:  # Keras would do it where no values are computed
            spec = getattr(x, "element_spec", None)
            self.build((None, *np.shape(x)[1:]) if spec is None else tuple(spec[0].shape))
        schedule = [*keras.tree.flatten(callbacks or []), _Schedule()]
        return super().fit(x, *args, callbacks=schedule, **options)

    def get_config(self) -> dict[str, Any]:
        """See ``keras.Model.get_config``."""
        given = dict(self._given)
        if isinstance(given["settings"], FlintOptions):
            given["settings"] = given["settings"].model_dump(mode="json")
        own = {name: model and _serialized(model) for name, model in self._has_own.items()}
        return {"name": self.name, "model": _serialized(self.predictor), **own, **given}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> _Interpreted:
        """See ``keras.Model.from_config``."""
        config = dict(config)
        if config.pop("raw", False):  # as files had it before there was a third range
            config["input_range"] = "0-255"
        models = ("model", "attribute_network", "decoder")
        loaded = {name: keras.saving.deserialize_keras_object(config[name]) for name in models}
        return cls(**{**config, **loaded})

    def _shown(self, images: tf.Tensor) -> tf.Tensor:
        return from_unit(images, self._given["input_range"])

    def _attributes(self, hidden: list[tf.Tensor]) -> tf.Tensor:
        return self.attribute_network(hidden[0] if len(hidden) == 1 else hidden)

    def _predict(self, shown: tf.Tensor, training: bool) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Logits of f, and what its layers return."""
        found: dict[int, tf.Tensor] = {}

        def note(place: int, outputs: tf.Tensor) -> tf.Tensor:
            found[place] = tf.cast(outputs, tf.float32)
            return outputs

        model = self.predictor
        with inlined_calls(model), linear_output(self._ending), tapped(model, self._taps, note):
            outputs = tf.cast(tf.nest.flatten(model(shown, training=training))[0], tf.float32)
        if not self._ending.can_be_linear:  # probabilities made where it cannot be seen
            outputs = tf.math.log(tf.clip_by_value(outputs, 1e-7, 1.0))
        return outputs, [found[place] for place in range(len(self._taps))]


@keras.saving.register_keras_serializable(PACKAGE)
class InterpretableModel(_Interpreted):
    """Interpretable by design: predictor and interpreter are trained together.

    Its answers are the predictor's. The model that is given is trained, from the weights that
    it has; ``compile`` takes its loss, for class probabilities. See ``Interpreter`` for the
    arguments.
    """

    is_by_design = True


@keras.saving.register_keras_serializable(PACKAGE)
class Interpreter(_Interpreted):
    __doc__ = f"""An interpreter of a trained predictor, which stays as it is (post-hoc).

    Its answers are those of g. It learns from f alone: ``compile`` takes no loss.

    {_Interpreted.__doc__}"""

    is_by_design = False

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """Those of Ψ, g and d."""
        return self._without_predictor(super().trainable_variables)

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        """Those of Ψ, g and d."""
        return self._without_predictor(super().trainable_weights)

    @property
    def non_trainable_variables(self) -> list[keras.Variable]:
        """All others, the predictor's among them."""
        return self._others(super().variables, self.trainable_variables)

    @property
    def non_trainable_weights(self) -> list[keras.Variable]:
        """All others, the predictor's among them."""
        return self._others(super().weights, self.trainable_weights)

    def _without_predictor(self, variables: list[keras.Variable]) -> list[keras.Variable]:
        return self._others(variables, self.predictor.variables)

    @staticmethod
    def _others(all_of_them: list, without: list) -> list:
        left_out = {id(each) for each in without}
        return [each for each in all_of_them if id(each) not in left_out]


class _Schedule(keras.callbacks.Callback):
    """Gives the losses their weights at the beginning of each epoch."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.model.begin_epoch(epoch, self.params["epochs"])


def _serialized(model: keras.Model) -> dict[str, Any]:
    """A model's configuration; how it was once trained doesn't matter."""
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    return config
