"""Training an interpreter on the ranks that share its batches."""

from __future__ import annotations

from collections.abc import Callable

import keras

from xnas_tf.data import Dataset
from xnas_tf.data.batches import batching
from xnas_tf.distributed import Communicator
from xnas_tf.interpretation.flint.interpreter import InterpretableModel, Interpreter
from xnas_tf.training.options import TrainingOptions
from xnas_tf.training.trainer import Trainer

Told = Callable[[int, int, dict[str, float]], None]


def learn(
    model: Interpreter | InterpretableModel,
    dataset: Dataset,
    epochs: int,
    batch: int,
    rate: float,
    seed: int,
    communicator: Communicator,
    told: Told = lambda *_: None,
) -> list[dict[str, float]]:
    """Train as candidates are trained: gradients and the mean attributes of a batch are those
    of all ranks, so that their number changes nothing but the rounding.

    Args:
        model: The model; compiled here.
        dataset: Only ``dataset.train`` is touched.
        epochs: Passes over it.
        batch: Images of a step, of all ranks together.
        rate: Adam's learning rate at first; it falls to that of the model's settings.
        seed: Of the order of the images, and of random layers such as dropout.
        communicator: The ranks.
        told: Is told the epoch that is done, how many there are, and its figures.

    Returns:
        Of each epoch, loss and accuracy of what the model answers.

    Raises:
        RunError: If the loss is no longer finite.
    """
    _reseed(model, seed)
    loss = keras.losses.SparseCategoricalCrossentropy() if model.is_by_design else None
    steps = epochs * batching(len(dataset.train), batch)[1]
    optimizer = falling_adam(rate, model.settings.rate, steps)
    model.compile(optimizer, loss, jit_compile=False)
    model.communicator = communicator
    config = TrainingOptions(epochs=epochs, batch_size=batch)
    trainer = Trainer(model, dataset, config, communicator, seed)
    history = []
    for epoch in range(epochs):
        model.begin_epoch(epoch, epochs)
        history.append(trainer.run_epoch())
        told(epoch + 1, epochs, history[-1])
    return history


def falling_adam(rate: float, last: float, steps: int) -> keras.optimizers.Optimizer:
    """Adam whose rate falls to the last one along a cosine, unless it is as low already."""
    if rate <= last:
        return keras.optimizers.Adam(rate)
    falling = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=last / rate)
    return keras.optimizers.Adam(falling)


def _reseed(model: keras.Model, seed: int) -> None:
    """Lets random layers draw the same whenever the model was made or loaded."""
    for number, layer in enumerate(model._flatten_layers()):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign([seed, number])
