"""Commands that explain trained models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xnas_tf.cli import completion
from xnas_tf.cli import options as shared
from xnas_tf.cli.group import main, print_message, print_result

if TYPE_CHECKING:
    from xnas_tf.storage.model_source import ModelSource

DATASET = shared.dataset_option("Data set to learn from.  [default: the run's data set]")
SEED = click.option("--seed", default=0, help="Seed for all random choices.")


def _model_argument(required: bool = True) -> Callable:
    name = "MODEL_OR_RUN" if required else "[MODEL_OR_RUN]"
    return click.argument(
        "path", metavar=name, required=required, type=shared.PATH, shell_complete=completion.runs
    )


def _names_option(name: str, about: str, *argument: str) -> Callable:
    """Return a repeatable option that takes one or more names each time."""
    return click.option(
        name,
        *argument,
        multiple=True,
        metavar="NAME,…",
        callback=lambda _context, _option, values: ",".join(values).split(",") if values else None,
        help=about,
    )


def _loading_options(command: Callable) -> Callable:
    """Add the options shared by all commands that load a model and write a folder."""
    out = click.option("--out", type=shared.PATH, help="New folder to write to.")
    return out(shared.INPUT_RANGE(shared.UNSAFE(shared.FORMAT(command))))


def _source(options: dict[str, Any], kind: str, needs_data: bool = True) -> ModelSource:
    """Return the model, data set and output folder specified by a command's options.

    They are checked before TensorFlow is imported.
    """
    from xnas_tf.storage.model_source import ModelSource

    names = ("path", "candidate", "dataset", "out", "safe", "hypermodel")
    source = ModelSource(**{name: options.pop(name) for name in names if name in options})
    source.folder(kind, needs_data)
    return source


@main.command()
@_model_argument()
@click.argument("files", nargs=-1, type=shared.PATH)
@shared.CANDIDATE
@click.option(
    "--images", multiple=True, type=shared.PATH, help="Image file to explain (may be repeated)."
)
@shared.dataset_option(
    "Data set that provides the test images to explain, or the class names for image files.  "
    "[default: the run's data set]"
)
@click.option(
    "--count", type=click.IntRange(1), default=8, help="Number of test images to explain."
)
@click.option(
    "--mistakes", is_flag=True, help="Explain only test images that the model gets wrong."
)
@_names_option(
    "--classes",
    "Class names for image files, in the order of the model's outputs.  [default: the data set's]",
    "class_names",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    shell_complete=completion.methods,
    show_default="grad_cam, integrated_gradients",
    help="Attribution method (may be repeated); `all` compares all methods.",
)
@shared.set_option("METHOD.OPTION=VALUE", "Set a method option (may be repeated).", "options")
@click.option(
    "--target",
    default="predicted",
    help="Class to explain, given as `predicted`, `true`, a name or a number.",
)
@_loading_options
@shared.QUIET
def explain(files: tuple[Path, ...], images: tuple[Path, ...], form: str, **options: Any) -> None:
    """Show what a model looks at, with pictures, maps and metrics.

    MODEL_OR_RUN is a run, an exported candidate or a .keras file. Image files to explain can be
    given as FILES or with --images. The attribution methods are grad_cam, grad_cam_plus_plus,
    integrated_gradients, smooth_grad, gradient_input and occlusion. See
    docs/explanation/attributions.md for these methods and their options.

    \b
    Example:
      xnas-tf explain runs/quickstart --method all
      xnas-tf explain runs/quickstart --mistakes
      xnas-tf explain model.keras *.png --classes cat,dog --target dog
    """
    from xnas_tf.storage.model_source import EXPLANATIONS

    files = (*images, *files)
    source = _source(options, EXPLANATIONS, needs_data=not files)
    from xnas_tf.explanation.request import explain_request
    from xnas_tf.explanation.tables import explanation_tables

    explanation, folder = explain_request(source, files=files, log=print_message, **options)
    for warning in explanation.warnings:
        print_message(f"warning: {warning}")
    print_message(f"wrote {folder}: open its index.html in a browser")
    facts = explanation.as_dict()
    print_result(form, facts, lambda: explanation_tables(facts))


@main.command()
@_model_argument()
@shared.CANDIDATE
@DATASET
@_names_option("--classes", "Classes to compare (may be repeated).  [default: all]")
@_names_option(
    "--layers",
    "Layers to mask, as names or patterns.  [default: the last layer of each convolution block]",
)
@click.option(
    "--preset",
    metavar="NAME",
    help="Use the published layers and β for vgg16, resnet50, densenet121 or darts.",
)
@click.option(
    "--beta",
    metavar="auto|NUMBER",
    help="Weight of the sparsity term in the loss.  [default: the preset's value; auto without a "
    "preset]",
)
@click.option(
    "--tolerance", default=0.02, help="Accuracy loss allowed for each class with --beta auto."
)
@click.option(
    "--false-alarms",
    default=0.1,
    help="Limit on the share of other classes' images that a path assigns to its own class; "
    "1 means no limit.",
)
@click.option("--epochs", default=20, help="Number of passes over each class's training images.")
@click.option(
    "--images", type=int, help="Maximum number of images per class in each split.  [default: all]"
)
@SEED
@_loading_options
@shared.QUIET
def disentangle(form: str, **options: Any) -> None:
    """Find the path that each class takes through a network.

    MODEL_OR_RUN is a run, an exported candidate or a .keras file. For each class, NAD (arXiv
    2003.13268) learns which channels the class needs in each layer. The resulting paths are then
    compared. The network itself is not changed. See docs/explanation/nad.md for the metrics,
    pictures and presets.

    \b
    Example:
      xnas-tf disentangle runs/quickstart --epochs 10
      horovodrun -np 8 xnas-tf disentangle runs/quickstart
      xnas-tf disentangle model.keras --dataset digits --classes 3,8
    """
    from xnas_tf.storage.model_source import DISENTANGLEMENTS

    source = _source(options, DISENTANGLEMENTS)
    from xnas_tf.explanation.interpreting import disentangle_request
    from xnas_tf.interpretation.nad.disentanglement import facts
    from xnas_tf.interpretation.nad.tables import disentanglement_tables

    result = disentangle_request(source, log=print_message, **options)
    if result is None:  # another rank prints
        return
    disentanglement, folder = result
    for name, why in disentanglement.left_out.items():
        print_message(f"warning: class {name} was left out: {why}")
    print_message(f"wrote {folder}: open its index.html in a browser")
    found = facts(disentanglement)
    print_result(form, found, lambda: disentanglement_tables(found))


@main.command()
@_model_argument(required=False)
@click.option(
    "--hypermodel",
    metavar="MODULE:NAME",
    help="Build a HyperModel's default model and train it with --mode by-design.",
)
@shared.CANDIDATE
@DATASET
@click.option(
    "--mode",
    type=click.Choice(["posthoc", "by-design"]),
    default="posthoc",
    help="Whether to keep the model as it is or train it together with the interpreter.",
)
@click.option(
    "--attributes", type=int, help="Number of attributes.  [default: 25, or 36 for colour images]"
)
@_names_option(
    "--layers", "Hidden layers to use, as names or patterns.  [default: the last layers]"
)
@click.option(
    "--explain",
    "explained",
    type=int,
    multiple=True,
    metavar="N",
    help="Explain image N of the test split (may be repeated).",
)
@click.option(
    "--settings",
    metavar="grey|drawings|colour",
    help="Published settings to use.  [default: grey or colour, to match the images]",
)
@click.option(
    "--epochs",
    type=int,
    help="Number of passes over the training images.  [default: depends on the number of images]",
)
@click.option(
    "--rate", type=float, help="Learning rate.  [default: depends on the number of training images]"
)
@SEED
@_loading_options
@shared.QUIET
@shared.VERBOSE
def interpret(form: str, **options: Any) -> None:
    """Learn attributes that predict and explain a model's output.

    MODEL_OR_RUN is a run, an exported candidate or a .keras file. FLINT (arXiv 2010.09345) learns
    attributes from the model's hidden layers and trains a linear classifier on top of them. The
    command also works with horovodrun. See docs/explanation/flint.md for the metrics and pictures.

    \b
    Example:
      xnas-tf interpret runs/quickstart
      xnas-tf interpret model.keras --dataset mnist5k --mode by-design
      xnas-tf interpret --hypermodel examples.small_convnet:SmallConvNet \\
        --dataset digits --mode by-design
    """
    from xnas_tf.storage.model_source import INTERPRETATIONS

    source = _source(options, INTERPRETATIONS)
    from xnas_tf.explanation.interpreting import interpret_request
    from xnas_tf.interpretation.flint.expert_text import interpreted_range_text
    from xnas_tf.interpretation.flint.tables import interpretation_tables

    result = interpret_request(source, log=print_message, **options)
    if result is None:  # another rank prints
        return
    interpretation, folder = result
    facts = interpretation.as_dict()
    print_message(interpreted_range_text(facts, "interpreted.keras"))
    print_message(f"wrote {folder}: open its index.html in a browser")
    print_result(form, facts, lambda: interpretation_tables(facts))
