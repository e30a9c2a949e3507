"""Commands that explain trained models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xnas_tf.cli import completion
from xnas_tf.cli.candidates import CANDIDATE
from xnas_tf.cli.group import FORMAT, clear_errors, main, print_message, print_tables

if TYPE_CHECKING:
    from xnas_tf.explanation import Explanation

MODEL_OR_RUN = click.argument(
    "model_or_run", type=click.Path(path_type=Path), shell_complete=completion.runs
)
INPUT_RANGE = click.option(
    "--input-range",
    default="auto",
    show_default=True,
    metavar="auto|0-1|0-255|-1-1",
    help="Range of the model's inputs; auto: inferred from its first layers.",
)
OUT = click.option("--out", type=click.Path(path_type=Path), help="A new folder.")
UNSAFE = click.option("--unsafe", is_flag=True, help="Load models that bring code of their own.")


@main.command()
@MODEL_OR_RUN
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@CANDIDATE
@click.option("--images", multiple=True, type=click.Path(path_type=Path), help="Image files.")
@click.option(
    "--dataset",
    shell_complete=completion.datasets,
    help="Take images from its test split. Default: the run's own.",
)
@click.option("--count", type=click.IntRange(1), default=8, show_default=True)
@click.option(
    "--method",
    "methods",
    multiple=True,
    shell_complete=completion.methods,
    help="May be repeated; `all` compares all.",
)
@click.option("--set", "options", multiple=True, metavar="METHOD.OPTION=VALUE")
@click.option(
    "--target", default="predicted", show_default=True, help="Or `true`, or a class to explain."
)
@OUT
@INPUT_RANGE
@UNSAFE
@FORMAT
@clear_errors
def explain(
    model_or_run: Path,
    files: tuple[Path, ...],
    images: tuple[Path, ...],
    candidate: int | str | None,
    dataset: str | None,
    out: Path | None,
    form: str,
    unsafe: bool,
    **options: Any,
) -> None:
    """Show what a model looks at, as pictures, maps and metrics.

    MODEL_OR_RUN is a run, an exported candidate or a .keras file; FILES are more image files.
    Methods: grad_cam, integrated_gradients (both by default), grad_cam_plus_plus, smooth_grad,
    gradient_input, occlusion. docs/attributions.md explains them and their options.

    \b
    Example:
      xnas-tf explain runs/quickstart --method all
      xnas-tf explain model.keras --images *.png --set integrated_gradients.steps=64
    """
    from xnas_tf.explanation.command import explain_request
    from xnas_tf.explanation.model_loading import ModelSource

    source = ModelSource(model_or_run, candidate, dataset, out, not unsafe)
    explanation, folder = explain_request(
        source, files=(*images, *files), tell=print_message, **options
    )
    for method, why in explanation.failures.items():
        click.echo(f"{method} was left out: {why}", err=True)
    click.echo(f"wrote {folder}", err=True)
    if form == "json":
        click.echo(json.dumps(explanation.as_dict(), indent=2))
    else:
        _print_explanation(explanation)


def _print_explanation(explanation: Explanation) -> None:
    from xnas_tf.reporting.explanation_tables import explanation_tables

    print_tables(explanation_tables(explanation))


def _split_names(values: tuple[str, ...]) -> list[str] | None:
    return [name for value in values for name in value.split(",")] or None


@main.command()
@MODEL_OR_RUN
@CANDIDATE
@click.option("--dataset", shell_complete=completion.datasets, help="Default: the run's own.")
@click.option("--classes", multiple=True, metavar="NAME,…", help="Default: all.")
@click.option(
    "--layers",
    multiple=True,
    metavar="NAME,…",
    help="Names or patterns; default: the ends of all convolution blocks.",
)
@click.option("--beta", default="auto", show_default=True, help="Weight of sparsity.")
@click.option(
    "--tolerance",
    default=0.02,
    show_default=True,
    help="Accuracy that a class may lose, with --beta auto.",
)
@click.option(
    "--false-alarms",
    default=0.1,
    show_default=True,
    help="Share of other classes' images that a path may predict as its class; 1: no limit.",
)
@click.option("--epochs", default=20, show_default=True, help="Passes over the images of a class.")
@click.option("--images", type=int, help="At most, of each class and split; default: all.")
@click.option("--seed", default=0, show_default=True)
@OUT
@INPUT_RANGE
@UNSAFE
@FORMAT
@clear_errors
def disentangle(
    model_or_run: Path,
    classes: tuple[str, ...],
    layers: tuple[str, ...],
    candidate: int | str | None,
    dataset: str | None,
    out: Path | None,
    form: str,
    unsafe: bool,
    **options: Any,
) -> None:
    """Find the path of each class through a network.

    MODEL_OR_RUN is a run, an exported candidate or a .keras file. For each class and layer a
    mask over the channels is learned with the network frozen (NAD, arXiv 2003.13268),
    and the paths are compared. docs/nad.md explains the metrics and pictures.

    \b
    Example:
      xnas-tf disentangle runs/quickstart --epochs 10
      horovodrun -np 8 xnas-tf disentangle runs/quickstart
      xnas-tf disentangle model.keras --dataset digits --classes 3,8 --layers "conv*"
    """
    from xnas_tf.explanation.disentangle_command import disentangle_request
    from xnas_tf.explanation.model_loading import ModelSource
    from xnas_tf.interpretation.nad.disentanglement import facts

    source = ModelSource(model_or_run, candidate, dataset, out, not unsafe)
    result = disentangle_request(
        source,
        classes=_split_names(classes),
        layers=_split_names(layers),
        tell=print_message,
        **options,
    )
    if result is None:  # another rank prints
        return
    disentanglement, folder = result
    for name, why in disentanglement.left_out.items():
        click.echo(f"class {name} was left out: {why}", err=True)
    click.echo(f"wrote {folder}", err=True)
    if form == "json":
        click.echo(json.dumps(facts(disentanglement), indent=2))
    else:
        from xnas_tf.interpretation.nad.tables import disentanglement_tables

        print_tables(disentanglement_tables(disentanglement))


@main.command()
@click.argument(
    "model_or_run",
    required=False,
    type=click.Path(path_type=Path),
    shell_complete=completion.runs,
)
@click.option("--hypermodel", metavar="MODULE:NAME", help="Train its default network by design.")
@CANDIDATE
@click.option("--dataset", shell_complete=completion.datasets, help="Default: the run's own.")
@click.option(
    "--mode",
    type=click.Choice(["posthoc", "by-design"]),
    default="posthoc",
    show_default=True,
    help="Keep the model as it is, or train it together with the interpreter.",
)
@click.option("--attributes", type=int, help="How many; default: 25, or 36 for colour images.")
@click.option(
    "--layers", multiple=True, metavar="NAME,…", help="Names or patterns; default: the last ones."
)
@click.option(
    "--explain",
    type=int,
    multiple=True,
    metavar="N",
    help="An image of the test split, by number; may be repeated.",
)
@click.option("--settings", help="grey, drawings or colour; default: by the images.")
@click.option("--epochs", type=int, help="Default: by the size of the data.")
@click.option("--rate", type=float, help="Learning rate; default: by the size of the data.")
@click.option("--seed", default=0, show_default=True)
@OUT
@INPUT_RANGE
@UNSAFE
@FORMAT
@clear_errors
def interpret(
    model_or_run: Path | None,
    layers: tuple[str, ...],
    candidate: int | str | None,
    dataset: str | None,
    out: Path | None,
    form: str,
    unsafe: bool,
    **options: Any,
) -> None:
    """Train attributes that predict and explain a model's output.

    MODEL_OR_RUN is a run, an exported candidate or a .keras file. Attributes are learned from
    its hidden layers, and a linear classifier on them (FLINT, arXiv 2010.09345). Also runs under
    horovodrun. docs/flint.md explains the metrics and pictures.

    \b
    Example:
      xnas-tf interpret runs/quickstart
      xnas-tf interpret model.keras --dataset mnist5k --mode by-design --attributes 12
      xnas-tf interpret --hypermodel examples.small_convnet:SmallConvNet --dataset digits \\
        --mode by-design
    """
    from xnas_tf.explanation.interpret_command import interpret_request
    from xnas_tf.explanation.model_loading import ModelSource

    source = ModelSource(model_or_run, candidate, dataset, out, not unsafe)
    result = interpret_request(source, layers=_split_names(layers), tell=print_message, **options)
    if result is None:  # another rank prints
        return
    interpretation, folder = result
    click.echo(f"wrote {folder}", err=True)
    if form == "json":
        click.echo(json.dumps(interpretation.as_dict(), indent=2))
    else:
        from xnas_tf.interpretation.flint.tables import interpretation_tables

        print_tables(interpretation_tables(interpretation))
