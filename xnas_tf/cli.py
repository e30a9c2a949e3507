"""The command line: parses, calls the library, prints. Results on stdout, the rest on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import click

from xnas_tf import __version__
from xnas_tf.environment import set_defaults
from xnas_tf.errors import InputError, XnasError

set_defaults()

RUN = click.argument("run", type=click.Path(path_type=Path))


def _clear_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Ends with one message and the right exit code where a person can mend the matter."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except XnasError as error:
            click.echo(f"xnas-tf: {error}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("xnas-tf: interrupted; the same command goes on from here", err=True)
            sys.exit(130)

    return guarded


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="xnas-tf")
def main() -> None:
    """Neural architecture search for networks that are accurate and can be understood.

    \b
    Example:
      xnas-tf data folder:pets                   what a search would do to your images
      xnas-tf search configs/quickstart.yaml     search, on one process
      horovodrun -np 8 xnas-tf search CONFIG     search, on eight ranks
      xnas-tf launch -np 8 -- search CONFIG      the same, and again when a rank dies
      xnas-tf pareto runs/quickstart             what came out
      xnas-tf report runs/quickstart             the same as one HTML file, with what it looks at
      xnas-tf export runs/quickstart             SavedModels of the best
    """


@main.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--run-dir", type=click.Path(path_type=Path), help="Default: runs/NAME OF CONFIG.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key.")
@click.option("--fresh", is_flag=True, help="Move an existing run aside and start anew.")
@_clear_errors
def search(
    config: Path | None, run_dir: Path | None, overrides: tuple[str, ...], fresh: bool
) -> None:
    """Search for Pareto-optimal networks, or go on with an interrupted search.

    CONFIG is a YAML file; without it ./xnas.yaml is taken, else the quickstart on real
    digits. Its sections: dataset, space, objectives, constraints, training, search,
    distributed. docs/configuration.md explains every key.

    \b
    Example:
      xnas-tf search configs/quickstart.yaml --set search.candidates=32 --run-dir runs/long
    """
    from xnas_tf.run.search import search as run_search

    run = run_search(config, run_dir, overrides, fresh)
    if run is None:
        return
    _print_pareto(run, everyone=False)
    click.echo(
        f"\nNext:\n"
        f"  xnas-tf pareto {run.path} --plot front.png\n"
        f"  xnas-tf report {run.path}\n"
        f"  xnas-tf export {run.path}\n"
        f"  tensorboard --logdir {run.path / 'tensorboard'}",
        err=True,
    )


@main.command()
@click.option("-np", "ranks", type=click.IntRange(1), required=True, help="Ranks.")
@click.option("-H", "hosts", metavar="HOST:SLOTS,…", help="Default: this host alone.")
@click.option("--min-np", type=click.IntRange(1), help="Go on with so few if hosts are lost.")
@click.option("--restarts", type=click.IntRange(0), default=20, show_default=True)
@click.option("--network-interface", metavar="NAME,…", help="As horovodrun's.")
@click.option("--ssh-port", type=int, help="As horovodrun's.")
@click.option("--ssh-identity-file", type=click.Path(), help="As horovodrun's.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@_clear_errors
def launch(command: tuple[str, ...], **options: Any) -> None:
    """Run a search under horovodrun, and start it again when a rank dies.

    COMMAND is `search` with its options, after two dashes. What is finished is never done
    again; a candidate that kills its group twice is recorded as failed.

    \b
    Example:
      xnas-tf launch -np 8 -- search CONFIG
      xnas-tf launch -np 8 -H a:4,b:4 --min-np 4 -- search CONFIG --run-dir runs/long
    """
    from xnas_tf.run.launch import launch as launch_search

    if not command or command[0] != "search":
        given = f"given {command[0]!r}" if command else "nothing is given"
        raise InputError(f"launch: {given} after --; allowed: search with its options")
    parsed = search.make_context("xnas-tf search", list(command[1:]))
    say = partial(click.echo, err=True)
    sys.exit(launch_search(command, parsed.params, **options, say=say))


@main.command()
@click.argument("dataset")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Draw a PNG.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@_clear_errors
def data(dataset: str, overrides: tuple[str, ...], out: Path | None, form: str) -> None:
    """Show a data set: classes, parts, problems by file, and what a search would do to it.

    DATASET is a name as in the configuration (folder:PATH, csv:FILE, npz:FILE, tfrecord:FILES,
    keras:NAME, tfds:NAME, mnist5k, digits, module:function) or a configuration file. The
    picture has some images of each class, as a network would see them.

    \b
    Example:
      xnas-tf data folder:pets --out pets.png
      xnas-tf data configs/quickstart.yaml --set dataset.seed=1 --format json
    """
    import json

    from xnas_tf.report.data import data_tables, inspect_data

    found = inspect_data(dataset, overrides, lambda text: click.echo(text, err=True))
    if form == "json":
        click.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _print_tables(data_tables(found))
    if out:
        found.save_sheet(out)
        click.echo(f"wrote {out}", err=True)


@main.command()
@RUN
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
)
@click.option("--all", "everyone", is_flag=True, help="List dominated candidates too.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw a PNG.")
@_clear_errors
def pareto(run: Path, form: str, everyone: bool, plot: Path | None) -> None:
    """List the Pareto-optimal candidates of RUN, and suggest one of them.

    The one suggested is the knee of the front, from where a gain in one objective costs most in
    the others.

    \b
    Example:
      xnas-tf pareto runs/quickstart --format csv > front.csv
    """
    from xnas_tf.report import tables
    from xnas_tf.run.directory import load_run

    opened = load_run(run)
    if form == "table":
        _print_pareto(opened, everyone)
    else:
        write = tables.pareto_json if form == "json" else tables.pareto_csv
        click.echo(write(tables.listing(opened, everyone)).rstrip("\n"))
    if plot:
        from xnas_tf.report.figures import save_front

        save_front(opened, plot)
        click.echo(f"wrote {plot}", err=True)


@main.command()
@RUN
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw a PNG.")
@_clear_errors
def status(run: Path, form: str, plot: Path | None) -> None:
    """Say how far RUN is: done, failed, infeasible, running, rate, time left.

    The picture shows what each group of ranks was doing when.

    \b
    Example:
      xnas-tf status runs/quickstart --plot groups.png
    """
    import json

    from xnas_tf.report.status import run_status, status_text
    from xnas_tf.run.directory import load_run

    opened = load_run(run)
    state = run_status(opened)
    click.echo(status_text(state) if form == "text" else json.dumps(state.as_dict(), indent=2))
    if plot:
        from xnas_tf.report.utilisation import save_timeline

        save_timeline(opened, plot)
        click.echo(f"wrote {plot}", err=True)


@main.command()
@RUN
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: RUN/report.html."
)
@click.option("--candidate", "candidates", multiple=True, type=int, help="A model to show, by id.")
@click.option(
    "--models",
    type=click.IntRange(0),
    default=8,
    show_default=True,
    help="Pareto-optimal models shown, at most; 0 opens none.",
)
@click.option(
    "--images", type=click.IntRange(1), default=8, show_default=True, help="Explained, of each."
)
@_clear_errors
def report(run: Path, **options: Any) -> None:
    """Write what RUN found, and why, as one HTML file that needs no network.

    The front, its progress and lineage, what each objective depends on, failures; of each
    Pareto-optimal model curves, test figures, attributions and class distances. RUN may be
    searching still. docs/report.md explains how to read it.

    \b
    Example:
      xnas-tf report runs/quickstart --out front.html
      xnas-tf report runs/quickstart --candidate 7 --candidate 9 --images 16
    """
    from xnas_tf.report.html import save_report

    click.echo(save_report(run, tell=lambda text: click.echo(text, err=True), **options))


@main.command()
@RUN
@click.option("--candidate", "candidates", multiple=True, type=int, help="An id; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path), help="Default: RUN/exports.")
@_clear_errors
def export(run: Path, candidates: tuple[int, ...], out: Path | None) -> None:
    """Export models of RUN, by default all Pareto-optimal ones, as SavedModels.

    \b
    Example:
      xnas-tf export runs/quickstart --candidate 7 --out served
    """
    from xnas_tf.exporting import export as export_models
    from xnas_tf.run.directory import load_run

    for folder in export_models(load_run(run), candidates, out):
        click.echo(str(folder))


@main.command()
@click.argument("model_or_run", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--candidate", type=int, help="Default: the best in the first objective.")
@click.option("--images", multiple=True, type=click.Path(path_type=Path), help="Image files.")
@click.option("--dataset", help="Take images from its test part. Default: the run's own.")
@click.option("--count", type=click.IntRange(1), default=8, show_default=True)
@click.option("--method", "methods", multiple=True, help="May be repeated; `all` compares all.")
@click.option("--set", "options", multiple=True, metavar="METHOD.OPTION=VALUE")
@click.option(
    "--target", default="predicted", show_default=True, help="Or `true`, or a class to explain."
)
@click.option("--out", type=click.Path(path_type=Path), help="A new folder.")
@click.option("--raw", is_flag=True, help="The model takes values 0 to 255, not 0 to 1.")
@click.option("--unsafe", is_flag=True, help="Load models that bring code of their own.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@_clear_errors
def explain(
    model_or_run: Path,
    files: tuple[Path, ...],
    images: tuple[Path, ...],
    methods: tuple[str, ...],
    form: str,
    unsafe: bool,
    **options: Any,
) -> None:
    """Show what a model looks at: pictures, maps, and figures of their quality.

    MODEL_OR_RUN is a run, an exported candidate or a .keras file; FILES are more image files.
    Methods: grad_cam, integrated_gradients (both by default), grad_cam_plus_plus, smooth_grad,
    gradient_input, occlusion. docs/attributions.md explains them and their options.

    \b
    Example:
      xnas-tf explain runs/quickstart --method all
      xnas-tf explain model.keras --images *.png --set integrated_gradients.steps=64
    """
    import json

    from xnas_tf.explaining import DEFAULT_METHODS
    from xnas_tf.explaining.command import Request, explain_request
    from xnas_tf.explaining.saving import facts

    request = Request(
        model_or_run,
        images=(*images, *files),
        methods=methods or DEFAULT_METHODS,
        safe=not unsafe,
        **options,
    )
    found, folder = explain_request(request, lambda text: click.echo(text, err=True))
    for method, why in found.failures.items():
        click.echo(f"{method} was left out: {why}", err=True)
    click.echo(f"wrote {folder}", err=True)
    if form == "json":
        click.echo(json.dumps(facts(found), indent=2))
    else:
        _print_explanation(found)


@main.command()
@click.argument("model_or_run", type=click.Path(path_type=Path))
@click.option("--candidate", type=int, help="Default: the best in the first objective.")
@click.option("--dataset", help="Default: the run's own.")
@click.option("--classes", multiple=True, metavar="NAME,…", help="Default: all.")
@click.option(
    "--layers",
    multiple=True,
    metavar="NAME,…",
    help="Names or patterns; default: the ends of all convolution blocks.",
)
@click.option("--beta", default="auto", show_default=True, help="Or the weight of sparsity.")
@click.option(
    "--tolerance", default=0.02, show_default=True, help="Accuracy a class may lose with auto."
)
@click.option(
    "--false-alarms",
    default=1.0,
    show_default=True,
    help="Of other images, how many a path may take for its class with auto.",
)
@click.option("--epochs", default=20, show_default=True, help="Over each class's images.")
@click.option("--images", type=int, help="Of each class and part, at most; default: all.")
@click.option("--seed", default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="A new folder.")
@click.option("--raw", is_flag=True, help="The model takes values 0 to 255, not 0 to 1.")
@click.option("--unsafe", is_flag=True, help="Load models that bring code of their own.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@_clear_errors
def disentangle(
    model_or_run: Path,
    classes: tuple[str, ...],
    layers: tuple[str, ...],
    form: str,
    unsafe: bool,
    **options: Any,
) -> None:
    """Find the path of each class through a network, and how different the paths are.

    MODEL_OR_RUN is a run, an exported candidate or a .keras file. For each class and layer a
    mask over the channels is learned with the network frozen (NAD, arXiv 2003.13268).
    docs/nad.md explains the figures and pictures.

    \b
    Example:
      xnas-tf disentangle runs/quickstart --epochs 10
      horovodrun -np 8 xnas-tf disentangle runs/quickstart
      xnas-tf disentangle model.keras --dataset digits --classes 3,8 --layers "conv*"
    """
    import json

    from xnas_tf.interpret.nad.command import Request, disentangle_request
    from xnas_tf.interpret.nad.saving import facts

    request = Request(
        model_or_run,
        classes=[name for each in classes for name in each.split(",")],
        layers=[name for each in layers for name in each.split(",")],
        safe=not unsafe,
        **options,
    )
    result = disentangle_request(request, lambda text: click.echo(text, err=True))
    if result is None:
        return
    found, folder = result
    for name, why in found.left_out.items():
        click.echo(f"class {name} was left out: {why}", err=True)
    click.echo(f"wrote {folder}", err=True)
    if form == "json":
        click.echo(json.dumps(facts(found), indent=2))
    else:
        from xnas_tf.interpret.nad.tables import disentanglement_tables

        _print_tables(disentanglement_tables(found))


@main.command()
@click.argument("model_or_run", required=False, type=click.Path(path_type=Path))
@click.option("--hypermodel", metavar="MODULE:NAME", help="Train its default network, by design.")
@click.option("--candidate", type=int, help="Default: the best in the first objective.")
@click.option("--dataset", help="Default: the run's own.")
@click.option(
    "--mode",
    type=click.Choice(["posthoc", "by-design"]),
    default="posthoc",
    show_default=True,
    help="The model stays as it is, or is trained too.",
)
@click.option("--attributes", type=int, help="How many; default: 25, of coloured images 36.")
@click.option(
    "--layers", multiple=True, metavar="NAME,…", help="Names or patterns; default: the last ones."
)
@click.option("--settings", help="grey, drawings or colour; default: by the images.")
@click.option("--epochs", type=int, help="Default: by the size of the data.")
@click.option("--rate", type=float, help="Learning rate; default: by the size of the data.")
@click.option("--seed", default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="A new folder.")
@click.option("--raw", is_flag=True, help="The model takes values 0 to 255, not 0 to 1.")
@click.option("--unsafe", is_flag=True, help="Load models that bring code of their own.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@_clear_errors
def interpret(
    model_or_run: Path | None, layers: tuple[str, ...], form: str, unsafe: bool, **options: Any
) -> None:
    """Train an interpreter: a few attributes that say what a model says, and show why.

    MODEL_OR_RUN is a run, an exported candidate or a .keras file. Attributes are learned from
    its hidden layers, and a linear classifier on them (FLINT, arXiv 2010.09345). Runs under
    horovodrun too. docs/flint.md explains the figures and pictures.

    \b
    Example:
      xnas-tf interpret runs/quickstart
      xnas-tf interpret model.keras --dataset mnist5k --mode by-design --attributes 12
      xnas-tf interpret --hypermodel examples.small_convnet:SmallConvNet --dataset digits \\
        --mode by-design
    """
    import json

    from xnas_tf.interpret.flint.command import Request, interpret_request
    from xnas_tf.interpret.flint.saving import facts

    request = Request(
        model_or_run,
        layers=[name for each in layers for name in each.split(",")],
        safe=not unsafe,
        **options,
    )
    done = interpret_request(request, lambda text: click.echo(text, err=True))
    if done is None:  # another rank prints
        return
    found, folder = done
    click.echo(f"wrote {folder}", err=True)
    if form == "json":
        click.echo(json.dumps(facts(found), indent=2))
    else:
        from xnas_tf.interpret.flint.tables import interpretation_tables

        _print_tables(interpretation_tables(found))


@main.group()
def benchmark() -> None:
    """Measure what searches cost."""


@benchmark.command("search")
@click.option("--table", type=click.Path(path_type=Path), required=True, help="CSV, CSV.gz, NATS.")
@click.option(
    "--objectives",
    default="error,parameters",
    show_default=True,
    metavar="NAME,…",
    help="Or any column, minimised; max:COLUMN maximises.",
)
@click.option("--column", help="Accuracy that `error` is made of. Default: the first column.")
@click.option("--reference", metavar="X,Y,…", help="Of the hypervolume, an objective each.")
@click.option(
    "--algorithm",
    "algorithms",
    multiple=True,
    default=["nsga2+surrogate", "nsga2", "random"],
    show_default="nsga2+surrogate, nsga2 and random",
    metavar="NAME",
    help="May be repeated.",
)
@click.option(
    "--set", "overrides", multiple=True, metavar="search.KEY=VALUE", help="Of our own algorithms."
)
@click.option("--seeds", type=int, default=20, show_default=True, help="Searches of each.")
@click.option("--trainings", type=int, default=600, show_default=True, help="Of each search.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw a PNG.")
@_clear_errors
def benchmark_search(
    table: Path,
    objectives: str,
    column: str | None,
    reference: str | None,
    form: str,
    plot: Path | None,
    **options: Any,
) -> None:
    """Play searches on a TABLE of known results: how many trainings do they need?

    TABLE has the header `arch,column…`; arch is a genotype of NAS-Bench-201. NATS-Bench's own
    files are read too where the package nats-bench is installed. Algorithms are those of
    search.algorithm, each also with "+surrogate" behind its name, and as peers pymoo (NSGA-II
    as XNAS had it), optuna_nsga2, optuna_tpe and random.

    The reference is 20,1.6 for error,parameters, else the worst value of each objective.

    \b
    Example:
      xnas-tf benchmark search --table nasbench201.csv.gz --algorithm nsga2+surrogate \\
        --algorithm pymoo --seeds 10 --plot searches.png
    """
    from xnas_tf.benchmark import compare, make_problem, parse_reference, read_table
    from xnas_tf.benchmark.report import report_json, report_tables

    point = parse_reference(reference) if reference else None
    problem = make_problem(read_table(table), objectives.split(","), column, point)
    comparison = compare(problem, **options)
    if form == "json":
        click.echo(report_json(comparison))
    else:
        _print_tables(report_tables(comparison))
    if plot:
        from xnas_tf.benchmark.figure import save_comparison

        save_comparison(comparison, plot)
        click.echo(f"wrote {plot}", err=True)


@main.command()
@_clear_errors
def doctor() -> None:
    """Show versions, devices and Horovod's build, and what to do about anything missing.

    \b
    Example:
      xnas-tf doctor
    """
    from xnas_tf.doctor import examine

    for finding in examine():
        click.echo(f"{finding.name:20} {finding.value}")
        if finding.advice:
            click.echo(f"{'':20} -> {finding.advice}")


def _print_explanation(explanation: Any) -> None:
    from xnas_tf.report.explanations import explanation_tables

    _print_tables(explanation_tables(explanation))


def _print_tables(tables: Iterable[Any]) -> None:
    from rich.console import Console

    # A genotype is some 100 characters long; a file or a pipe has room for it in one line.
    console = Console(width=None if sys.stdout.isatty() else 200)
    for table in tables:
        console.print(table)


def _print_pareto(run: Any, everyone: bool) -> None:
    from xnas_tf.report import tables

    listed = tables.listing(run, everyone)
    if not listed.candidates:
        click.echo(f"{run.path} has no finished candidates yet", err=True)
        return
    _print_tables([tables.pareto_table(listed)])
    if suggested := run.suggestion():
        click.echo(f"suggested: candidate {suggested.id}** ({suggested.why})", err=True)
