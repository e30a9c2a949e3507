"""Training progress on stderr: a progress bar in a terminal, otherwise one line per epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress as bars
from rich.console import Console


@contextmanager
def epochs_bar(is_shown: bool) -> Iterator[Callable[[int, int, dict[str, float]], None]]:
    """Show the progress of a training if ``is_shown``, which is so on rank 0 only.

    Yields:
        A function to call after each epoch, with its number, the number of epochs and the
        epoch's metrics by name.
    """
    console = Console(stderr=True, soft_wrap=True, highlight=False, quiet=not is_shown)
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=None)

        def update(epoch: int, epochs: int, metrics: dict[str, float]) -> None:
            text = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
            bar.update(task, completed=epoch, total=epochs, description=text)
            if not console.is_terminal:
                console.print(f"epoch {epoch} of {epochs}: {text}")

        yield update
