"""Prints the results and the search space of a tuner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from xnas_tf.candidate import Candidate
from xnas_tf.reporting.candidate_tables import CandidateList, pareto_table
from xnas_tf.reporting.wide_tables import split_to_fit
from xnas_tf.storage.run import Run
from xnas_tf.tuner.translation import described
from xnas_tf.utils.markup import page_html, rich_html

if TYPE_CHECKING:
    from xnas_tf.spaces.search_space import SearchSpace


def print_results(run: Run, candidates: Sequence[Candidate]) -> None:
    """Print a table of candidates, or show it in a notebook; see ``Tuner.results_summary``."""
    found = run.snapshot()
    front = {candidate.id for candidate in found.front}
    table = pareto_table(CandidateList(run, candidates, front, found.recommended))
    console = Console(highlight=False)
    title, reason = f"Results in {run.path}", f"recommended: {found.recommended.text}"
    if console.is_jupyter:
        from IPython.display import HTML, display  # noqa: PLC0415 - optional

        display(HTML(page_html(title, {}, rich_html(table), notes=[reason])))  # type: ignore[no-untyped-call]
        return
    console.print(title, markup=False, soft_wrap=True)
    for part in split_to_fit(table, console):
        console.print(part)
    console.print(reason, markup=False, soft_wrap=True)


def print_space(space: SearchSpace, assumed: tuple[tuple[int, int, int], int] | None) -> None:
    """Print the hyperparameters of a space; see ``Tuner.search_space_summary``.

    ``assumed`` are the image shape and the number of classes if they are only assumed.
    """
    size = f"at most {space.size:g} architectures"
    if math.isinf(space.size):
        size = "unbounded (real-valued hyperparameters)"
    print(f"Search space: {space.name}, {size}")
    if assumed:
        shape, classes = assumed
        size = "x".join(map(str, shape))
        print(f"  (for images of {size} and {classes} classes; no data are known yet)")
    for variable in space.variables:
        print(f"  {described(variable)}")
