"""HyperModels drawn from a grammar of layers, losses, optimizers and policies."""

from pathlib import Path

import numpy as np

from tests.fuzz import Input

BLOCKS = [
    "L.Conv2D(hp.Choice('filters', [3, 4]), 3, activation='relu')",
    "L.Conv2D(4, 3, padding='same', strides=2, kernel_regularizer='l2')",
    "L.SeparableConv2D(4, 3, padding='same')",
    "L.DepthwiseConv2D(3, padding='same', activation='gelu')",
    "L.BatchNormalization()",
    "L.LayerNormalization()",
    "L.GroupNormalization(1)",
    "L.Dropout(hp.Float('rate', 0.1, 0.5))",
    "L.SpatialDropout2D(0.2)",
    "L.GaussianNoise(0.1)",
    "L.MaxPooling2D(2, padding='same')",
    "L.AveragePooling2D(2, padding='same')",
    "L.Activation(hp.Choice('activation', ['relu', 'tanh', 'swish']))",
    "L.LeakyReLU()",
    "L.PReLU(shared_axes=[1, 2])",
    "L.ZeroPadding2D(1)",
    "L.UpSampling2D(2)",
    "L.ActivityRegularization(l2=1e-3)",
]
ENDS = ["L.Flatten()", "L.GlobalAveragePooling2D()", "L.GlobalMaxPooling2D()"]
HEADS = {
    "softmax": ["L.Dense(CLASSES, activation='softmax')"],
    "softmax layer": ["L.Dense(CLASSES)", "L.Softmax(dtype='float32')"],
    "logits": ["L.Dense(CLASSES)"],
    "sigmoid": ["L.Dense(1, activation='sigmoid')"],
    "one logit": ["L.Dense(1)"],
}
OWN_LOSS = """
def own(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred) * 2


class Own(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)
"""
LOSSES = {
    "softmax": [
        "'sparse_categorical_crossentropy'",
        "'categorical_crossentropy'",
        "keras.losses.CategoricalCrossentropy(label_smoothing=0.1)",
        "keras.losses.CategoricalFocalCrossentropy()",
        "keras.losses.KLDivergence()",
        "'mse'",
        "['sparse_categorical_crossentropy']",
        "own",
        "lambda a, b: own(a, b)",
        "functools.partial(own)",
        "Own()",
    ],
    "logits": [
        "keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
        "keras.losses.CategoricalCrossentropy(from_logits=True)",
        "keras.losses.CategoricalHinge()",
    ],
    "sigmoid": ["'binary_crossentropy'", "keras.losses.BinaryFocalCrossentropy()"],
    "one logit": ["keras.losses.BinaryCrossentropy(from_logits=True)"],
}
LOSSES["softmax layer"] = LOSSES["softmax"]
OPTIMIZERS = ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adamax", "Nadam", "Lion", "Adafactor"]
OPTIONS = ["", "", "clipnorm=0.5", "clipvalue=0.5", "global_clipnorm=1.0", "weight_decay=0.01"]
OPTIONS += ["use_ema=True", "use_ema=True, ema_overwrite_frequency=2"]
OPTIONS += ["gradient_accumulation_steps=2", "loss_scale_factor=8.0"]
POLICIES = ["float32"] * 6 + ["mixed_float16", "mixed_bfloat16"]
METRICS = {
    "softmax": ["['accuracy']", "[]", "None", "['accuracy', keras.metrics.AUC(name='auc')]"],
    "logits": ["['accuracy']", "['sparse_categorical_accuracy']"],
    "sigmoid": ["['accuracy']", "[keras.metrics.AUC(name='auc')]"],
    "one logit": ["[keras.metrics.BinaryAccuracy(threshold=0.0)]", "None"],
}
METRICS["softmax layer"] = METRICS["softmax"]


def make_model(rng: np.random.Generator, folder: Path, module: str) -> Input:
    """Write a HyperModel and images that it learns; the input is a search with one candidate."""
    head = str(rng.choice(list(HEADS), p=[0.35, 0.15, 0.25, 0.15, 0.1]))
    classes = 2 if head in ("sigmoid", "one logit") else int(rng.integers(2, 5))
    pick = lambda options: str(options[rng.integers(len(options))])  # noqa: E731
    chosen = [pick(BLOCKS) for _ in range(rng.integers(1, 4))]
    chosen += [pick(ENDS), "L.Dense(hp.Choice('units', [4, 5]), 'relu')", *HEADS[head]]
    policy, loss, metrics = pick(POLICIES), pick(LOSSES[head]), pick(METRICS[head])
    options = pick(OPTIONS)
    optimizer = f"keras.optimizers.{pick(OPTIMIZERS)}({f'{options}, ' if options else ''}"
    optimizer += "learning_rate=0.01)"
    lines = ["import functools", "import keras", "from keras import layers as L", ""]
    lines += [f"CLASSES = {classes}", f"keras.config.set_dtype_policy({policy!r})", OWN_LOSS, ""]
    lines += ["def build(hp):", "    x = inputs = keras.Input((9, 8, 1))"]
    lines += [f"    x = {each}(x)" for each in chosen]
    lines += ["    model = keras.Model(inputs, x)"]
    lines += [f"    model.compile({optimizer}, {loss}, metrics={metrics})", "    return model"]
    (folder / f"{module}.py").write_text("\n".join(lines) + "\n")
    labels = np.arange(20 * classes) % classes
    images = rng.integers(0, 100, (len(labels), 9, 8), dtype=np.uint8)
    images[np.arange(len(labels)), labels * 2] += 150
    np.savez(folder / "data.npz", x=images, y=labels)
    changes = [f"space={{hypermodel: '{module}:build'}}"]
    changes += [f"dataset='npz:{folder}/data.npz'", "objectives=[error, parameters]"]
    changes += ["search.candidates=1", "search.population=2", "training.epochs=1"]
    changes += ["training.batch_size=16"]
    words = ["search", "--run-dir", str(folder / "run")]
    words += [word for change in changes for word in ("--set", change)]
    return Input(words, may_be_refused=False, changes=[*chosen, policy, loss, optimizer, metrics])
