"""What a person sees of a training, on stderr: a bar in a terminal, else a line an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress as bars
from rich.console import Console


@contextmanager
def epochs_bar(is_shown: bool) -> Iterator[Callable[[int, int, dict[str, float]], None]]:
    """Inside, what is told which epoch is done, of how many, and its figures.

    Args:
        is_shown: Whether anything is shown: on rank 0 alone.
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

        def told(epoch: int, epochs: int, figures: dict[str, float]) -> None:
            text = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
            bar.update(task, completed=epoch, total=epochs, description=text)
            if not console.is_terminal:
                console.print(f"epoch {epoch} of {epochs}: {text}")

        yield told
