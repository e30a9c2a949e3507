"""Trainable, saveable Keras models that combine a predictor with an interpreter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.distributed import Communicator, SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.interpretation.classifier import examine
from xnas_tf.interpretation.feature_taps import find_taps, run_tapped
from xnas_tf.interpretation.flint import losses, networks
from xnas_tf.interpretation.flint.options import FlintOptions, settings_for
from xnas_tf.keras_tools.class_outputs import class_logits
from xnas_tf.keras_tools.input_range import declare_range, from_unit
from xnas_tf.keras_tools.inspection import inlined_calls, is_functional, linear_output
from xnas_tf.keras_tools.range_names import DEFAULT_RANGE, limits_of, range_name
from xnas_tf.keras_tools.settings import float32_layers


class InterpreterOutputs(NamedTuple):
    """The predictor's and the interpreter's outputs for a batch of images."""

    predictor: tf.Tensor  # logits of f, (B, classes)
    attributes: tf.Tensor  # Φ, (B, J), non-negative
    interpreter: tf.Tensor  # logits of g, (B, classes)
    decoded: tf.Tensor  # d(Φ), (B, H, W, C)


class InterpretedModel(keras.Model):
    """A predictor with attributes that feed a linear classifier and a decoder.

    See ``Interpreter`` for the arguments.
    """

    is_by_design: bool

    def __init__(  # noqa: PLR0913 - the configuration that Keras saves
        self,
        model: keras.Model,
        attributes: int | None = None,
        layers: Sequence[str] | None = None,
        attribute_network: keras.Model | None = None,
        decoder: keras.Model | None = None,
        settings: str | FlintOptions | Mapping[str, Any] | None = None,
        input_range: str = DEFAULT_RANGE,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype="float32")
        if not isinstance(model, keras.Model):
            raise InputError(f"`model` is of type {type(model).__name__}; allowed: a Keras model")
        settings_for(settings, 1, attributes)  # fails early if they are invalid
        self.predictor = model
        self.attribute_network: Any = attribute_network  # a model after ``build``
        self.decoder: Any = decoder
        self.communicator: Communicator = SingleProcess()
        declare_range(self)  # whatever range the predictor expects
        self._arguments: dict[str, Any] = {
            "attributes": attributes,
            "layers": [layers] if isinstance(layers, str) else list(layers) if layers else None,
            "settings": settings,
            "input_range": range_name(*limits_of(input_range)),
            "seed": seed,
        }
        # Keras files store weights under attribute names, so older files need these names.
        self._has_own = {"attribute_network": attribute_network, "decoder": decoder}
        shape = model.input_shape if is_functional(model) else None
        if isinstance(shape, tuple) and None not in shape[1:]:
            self.build(shape)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the interpreter for images of shape (B, H, W, C)."""
        if self.built:
            return
        shape = tuple(size for size in input_shape[1:] if size is not None)
        if len(input_shape) != 4 or len(shape) != 3:
            raise InputError(
                f"the model's input is {input_shape}; allowed: (N, H, W, C) with known H, W and C"
            )
        self.image_shape = shape
        given = self._arguments
        self.settings = settings_for(given["settings"], shape[-1], given["attributes"])
        with tf.init_scope():  # runs eagerly, even if Keras is tracing
            # Use noise, because ``examine`` may mistake zeros for the output of a softmax.
            sample = np.random.default_rng(0).random((2, *shape), np.float32)
            sample = from_unit(tf.constant(sample), given["input_range"])
            self.classes, self._ending = examine(self.predictor, sample)
            taps = find_taps(self.predictor, sample, given["layers"])
            self._taps = taps if given["layers"] else networks.default_taps(taps)
            hidden = self._predict(sample, training=False)[1]
        with float32_layers():
            self._create_networks(hidden)
        self._loss_weights = self.add_weight(shape=(4,), trainable=False, name="loss_weights")
        self._loss_weights.assign(self.settings.final)
        with tf.init_scope():
            self._check_outputs(hidden)
        super().build(input_shape)

    def _create_networks(self, hidden: list[tf.Tensor]) -> None:
        """Create g, and create Ψ and d unless they were given."""
        size, seed = self.settings.attributes, self._arguments["seed"]
        if self.attribute_network is None:
            shapes = [tuple(maps.shape[1:]) for maps in hidden]
            self.attribute_network = networks.attribute_network(shapes, size, 3 * seed)
        if self.decoder is None:
            self.decoder = networks.decoder(self.image_shape, size, 3 * seed + 1)
        self.linear = networks.linear(self.classes, 3 * seed + 2)
        self.linear.build((None, size))

    def _check_outputs(self, hidden: list[tf.Tensor]) -> None:
        """Check the attribute network's and the decoder's outputs for two images."""
        size, expected = self.settings.attributes, (2, *self.image_shape)
        attributes = self._attributes(hidden)
        shape, lowest = tuple(attributes.shape), float(tf.reduce_min(attributes))
        if shape != (2, size) or lowest < 0:
            raise InputError(
                f"the attribute network returns {shape} with a minimum of {lowest:.3g}; allowed: "
                f"(images, {size}), with values of 0 or more"
            )
        shape = tuple(self.decoder(attributes).shape)
        if shape != expected:
            raise InputError(f"the decoder returns {shape}; allowed: {expected}")

    @property
    def layer_names(self) -> list[str]:
        """Names of the layers from which Ψ computes attributes."""
        return [tap.name for tap in self._taps]

    def look(self, images: tf.Tensor, training: bool = False) -> InterpreterOutputs:
        """Compute the outputs of f, Ψ, g and d for images (B, H, W, C) in [0, 1]."""
        scaled = from_unit(images, self._arguments["input_range"])
        logits, hidden = self._predict(scaled, training and self.is_by_design)
        phi = self._attributes(hidden)
        return InterpreterOutputs(logits, phi, self.linear(phi), self.decoder(phi))

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return class probabilities (B, classes), from f (by-design mode) or g (post-hoc mode)."""
        outputs = self.look(inputs, training)
        self.add_loss(self._interpretation_loss(inputs, outputs, training))
        return tf.nn.softmax(outputs.predictor if self.is_by_design else outputs.interpreter)

    def _interpretation_loss(
        self, images: tf.Tensor, outputs: InterpreterOutputs, training: bool
    ) -> tf.Tensor:
        """Compute β L_of + γ L_if + L_cd, with the current epoch's weights."""
        mean = losses.batch_mean(outputs.attributes)
        if training and self.communicator.size > 1:
            mean = self._mean_of_all_ranks(outputs.attributes, mean)
        terms = [
            losses.output_fidelity(outputs.predictor, outputs.interpreter),
            losses.input_fidelity(images, outputs.decoded, self.settings.distance),
            losses.conciseness(outputs.attributes, mean),
            losses.sparsity(outputs.attributes),
        ]
        return tf.reduce_sum(tf.convert_to_tensor(self._loss_weights) * tf.stack(terms))

    def _mean_of_all_ranks(self, attributes: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
        """Compute the mean over a batch shared among ranks, with the gradient of this rank's part.

        The ranks' gradients, each weighted by the rank's share of the batch, add up to the gradient
        that a single rank would compute. ``own`` (J,) is the mean over this rank's part.
        """
        count = tf.cast(tf.shape(attributes)[0], tf.float32)
        total, count = self.communicator.sum_tensors(
            [tf.stop_gradient(tf.reduce_sum(attributes, axis=0)), tf.stop_gradient(count)],
            "attributes",
        )
        return own + tf.stop_gradient(total / count - own)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Set the loss weights for one of ``epochs`` epochs, counted from 0."""
        self._loss_weights.assign(self.settings.weights(epoch, epochs))

    def fit(self, x: Any = None, *args: Any, callbacks: Any = None, **options: Any) -> Any:
        """See ``keras.Model.fit``; the loss weights follow their schedule.

        Raises:
            InputError: If f is to be trained, but no loss was passed to ``compile``.
        """
        if self.is_by_design and self.loss is None:
            raise InputError(
                "compile was given no loss, so f would learn nothing; give a loss for class "
                "probabilities, such as 'sparse_categorical_crossentropy'"
            )
        if not self.built:  # Keras would build it symbolically, but ``build`` needs real values
            spec = getattr(x, "element_spec", None)
            shape = np.shape(x) if spec is None else keras.tree.flatten(spec)[0].shape
            self.build((None, *shape[1:]))
        with_schedule = [*keras.tree.flatten(callbacks or []), _LossWeightSchedule()]
        return super().fit(x, *args, callbacks=with_schedule, **options)

    def get_config(self) -> dict[str, Any]:
        """See ``keras.Model.get_config``."""
        arguments = dict(self._arguments)
        if isinstance(arguments["settings"], FlintOptions):
            arguments["settings"] = arguments["settings"].model_dump(mode="json")
        own = {name: model and _serialized(model) for name, model in self._has_own.items()}
        return {"name": self.name, "model": _serialized(self.predictor), **own, **arguments}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InterpretedModel:
        """See ``keras.Model.from_config``."""
        config = dict(config)
        if config.pop("raw", False):  # set in files from versions with only two ranges
            config["input_range"] = "0-255"
        models = ("model", "attribute_network", "decoder")
        loaded = {name: keras.saving.deserialize_keras_object(config[name]) for name in models}
        return cls(**{**config, **loaded})

    def _attributes(self, hidden: list[tf.Tensor]) -> tf.Tensor:
        return self.attribute_network(hidden[0] if len(hidden) == 1 else hidden)

    def _predict(self, inputs: tf.Tensor, training: bool) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Compute the logits of f and the outputs of its tapped layers."""
        with inlined_calls(self.predictor), linear_output(self._ending):
            outputs, hidden = run_tapped(self.predictor, self._taps, inputs, training=training)
        return class_logits(outputs, self._ending), hidden


@keras.saving.register_keras_serializable("xnas_tf")
class InterpretableModel(InterpretedModel):
    """A predictor that is interpretable by design: it is trained together with its interpreter.

    The model's outputs are the predictor's. The given model is trained from its current weights
    with the loss passed to ``compile``, which must be one for class probabilities. See
    ``Interpreter`` for the arguments.
    """

    is_by_design = True


@keras.saving.register_keras_serializable("xnas_tf")
class Interpreter(InterpretedModel):
    """A post-hoc interpreter for a trained predictor f, which is left unchanged.

    The attributes are Φ = Ψ(hidden layers of f). From the attributes, a linear classifier g
    predicts f's class, and a decoder d reconstructs the image. The model's outputs are those of g.
    Training needs only f and images, so ``compile`` needs no loss.

    Inputs are images (B, H, W, C) in [0, 1]. The model is built immediately if the predictor's
    input shape is known, otherwise on the first call.

    Args:
        model: A Keras image classifier of any kind.
        attributes: Number of attributes, J; if None, it is taken from the settings.
        layers: Names or name patterns of the layers whose outputs are the inputs of Ψ; if None, see
            ``flint.networks.default_taps``.
        attribute_network: Ψ, a model that maps a list of these outputs (or the only one) to J
            non-negative attributes.
        decoder: d, a model that maps attributes (B, J) to images.
        settings: Training settings, as a name in ``flint.options.SETTINGS`` or as values; by
            default, they depend on whether the images are grey or in colour.
        input_range: The range of values that the predictor expects, as ``LOW-HIGH``, such as
            ``0-255`` or ``-1-1``.
        seed: Seed for the initial weights of Ψ, g and d.
        name: The model's name.

    Raises:
        InputError: If an argument is invalid or does not fit the model.
    """

    is_by_design = False

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """The trainable variables of Ψ, g and d."""
        return _without(super().trainable_variables, self.predictor.variables)

    trainable_weights = trainable_variables

    @property
    def non_trainable_variables(self) -> list[keras.Variable]:
        """All other variables, including the predictor's."""
        return _without(super().variables, self.trainable_variables)

    @property
    def non_trainable_weights(self) -> list[keras.Variable]:
        """All other weights, including the predictor's."""
        return _without(super().weights, self.trainable_weights)


def _without(
    variables: list[keras.Variable], removed: list[keras.Variable]
) -> list[keras.Variable]:
    removed_ids = {id(variable) for variable in removed}
    return [variable for variable in variables if id(variable) not in removed_ids]


class _LossWeightSchedule(keras.callbacks.Callback):
    """A callback that sets the loss weights at the beginning of each epoch."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.model.begin_epoch(epoch, self.params["epochs"])


def _serialized(model: keras.Model) -> dict[str, Any]:
    """Return a model's configuration without its training settings."""
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    return config
