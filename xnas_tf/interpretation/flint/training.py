"""Trains an interpreter on ranks that share each batch."""

from __future__ import annotations

from collections.abc import Callable

import keras

from xnas_tf.data import Dataset
from xnas_tf.data.batches import batching
from xnas_tf.distributed import Communicator
from xnas_tf.interpretation.flint.interpreter import InterpretableModel, Interpreter
from xnas_tf.keras_tools.compat import sublayers
from xnas_tf.training.options import TrainingOptions
from xnas_tf.training.trainer import Trainer

EpochCallback = Callable[[int, int, dict[str, float]], None]
"""Called with the number of the epoch, from 1, the number of epochs, and the epoch's metrics."""


def learn(
    model: Interpreter | InterpretableModel,
    dataset: Dataset,
    epochs: int,
    batch: int,
    rate: float,
    seed: int,
    communicator: Communicator,
    on_epoch_end: EpochCallback = lambda *_: None,
) -> list[dict[str, float]]:
    """Train an interpreter in the same way as candidates are trained.

    Gradients and mean attributes of a batch are summed over the ranks, so that the number of
    ranks changes the results by rounding only.

    Args:
        model: The model; compiled here.
        dataset: Only ``dataset.train`` is used.
        epochs: The number of epochs.
        batch: Batch size, over all ranks.
        rate: Adam's initial learning rate; it decays to that of the model's settings.
        seed: Seed of the order of the images, and of random layers such as dropout.
        communicator: The ranks.
        on_epoch_end: Called after each epoch.

    Returns:
        Loss and accuracy of the model's outputs in each epoch.

    Raises:
        RunError: If the loss is no longer finite.
    """
    _reseed(model, seed)
    loss = keras.losses.SparseCategoricalCrossentropy() if model.is_by_design else None
    steps = epochs * batching(len(dataset.train), batch)[1]
    optimizer = decaying_adam(rate, model.settings.rate, steps)
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    model.compile(optimizer, loss, metrics=[accuracy], jit_compile=False)
    model.communicator = communicator
    options = TrainingOptions(epochs=epochs, batch_size=batch)
    trainer = Trainer(model, dataset, options, communicator, seed)
    history: list[dict[str, float]] = []
    for epoch in range(epochs):
        model.begin_epoch(epoch, epochs)
        history.append(trainer.run_epoch())
        on_epoch_end(epoch + 1, epochs, history[-1])
    return history


def decaying_adam(rate: float, last: float, steps: int) -> keras.optimizers.Optimizer:
    """Return Adam with a learning rate that decays to ``last`` along a cosine, if it is higher."""
    if rate <= last:
        return keras.optimizers.Adam(rate)
    decay = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=last / rate)
    return keras.optimizers.Adam(decay)


def _reseed(model: keras.Model, seed: int) -> None:
    """Seed random layers, so that they do not depend on how the model was made or loaded."""
    for number, layer in enumerate([model, *sublayers(model)]):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign([seed, number])
