"""Logs a search to Weights & Biases, with one run for the search and one for each candidate."""

from __future__ import annotations

import io
import os
import secrets
from typing import TYPE_CHECKING, Any

import PIL.Image

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError, suggest
from xnas_tf.execution.search_run import SearchRun
from xnas_tf.reporting.trackers.base import (
    Tracker,
    candidate_parameters,
    candidate_values,
    search_parameters,
)
from xnas_tf.storage.columns import candidate_rows
from xnas_tf.utils.pictures import png

if TYPE_CHECKING:
    import wandb

MODES = ("online", "offline", "disabled")


class WeightsAndBiases(Tracker):
    """A callback that logs a search to Weights & Biases.

    Log in first with ``wandb login`` or WANDB_API_KEY, unless the mode is offline.

    Args:
        project: Name of the project; if None, WANDB_PROJECT or ``xnas-tf``.
        entity: User or team; if None, your default entity.
        mode: ``online``, ``offline`` or ``disabled``; if None, WANDB_MODE or ``online``. ``wandb
            sync RUN/wandb/offline-*`` uploads offline runs.

    Raises:
        InputError: If the mode is unknown.
    """

    package = "wandb"

    def __init__(
        self, project: str | None = None, entity: str | None = None, mode: str | None = None
    ) -> None:
        super().__init__()
        if mode not in (None, *MODES):
            raise InputError(f"callback 'wandb': mode: given {suggest(str(mode), MODES)}")
        self._options: dict[str, Any] = {
            "project": project or os.environ.get("WANDB_PROJECT") or "xnas-tf",
            "entity": entity,
            "mode": mode,
        }
        self._group = self._folder = ""
        self._search: wandb.Run

    def _open(self, run: SearchRun) -> None:
        self._group = self._record.get("id") or secrets.token_hex(4)
        self._keep("id", self._group)
        self._folder = str(run.path)
        name = run.path.resolve().name
        self._search = self._init(self._group, name, "search", search_parameters(run.config))
        self._search.define_metric("*", step_metric="generation")

    def _is_logged(self, candidate: Candidate) -> bool:
        return candidate.id in self._record.get("candidates", ())

    def _init(self, number: str, name: str, kind: str, parameters: dict[str, Any]) -> wandb.Run:
        import wandb  # noqa: PLC0415 - heavy

        return wandb.init(
            **self._options,
            id=number,
            name=name,
            group=self._group,
            job_type=kind,
            config=parameters,
            dir=self._folder,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=kind == "candidate"),
        )

    def _log_candidate(self, candidate: Candidate) -> None:
        number, name = f"{self._group}-{candidate.id}", f"candidate {candidate.id}"
        logged = self._init(number, name, "candidate", candidate_parameters(candidate))
        for epoch, values in enumerate(candidate.history, start=1):
            logged.log({f"epoch/{name}": value for name, value in values.items()}, step=epoch)
        about = {"state": candidate.state, "reason": candidate.reason}
        logged.summary.update({**candidate_values(candidate), **about})
        logged.finish(exit_code=int(candidate.state == "failed"))
        self._keep("candidates", [*self._record.get("candidates", ()), candidate.id])

    def _log_generation(self, values: dict[str, float], generation: int) -> None:
        self._search.log({**values, "generation": generation})

    def _close(self, error: BaseException | None) -> None:
        self._search.finish(exit_code=int(error is not None))

    def _log_results(self, run: SearchRun) -> None:
        """Log the picture of the front, a table of all candidates, and the recommended model."""
        import wandb  # noqa: PLC0415 - heavy

        recommended = run.best
        front = {candidate.id for candidate in run.pareto()}
        number = recommended.id if recommended else None
        columns, rows = candidate_rows(run.candidates(), run.config, front, number)
        plain = bool | int | float | str | None
        cells = [
            [v if isinstance(v, plain) else str(v) for v in map(row.get, columns)] for row in rows
        ]
        table = wandb.Table(columns=[*columns], data=cells, allow_mixed_types=True)
        picture = PIL.Image.open(io.BytesIO(png(run.plot_front())))
        self._search.log({"front": wandb.Image(picture), "candidates": table})
        if recommended and recommended.model_path:
            self._search.summary["recommended"] = recommended.id
            artifact = wandb.Artifact(f"model-{self._group}", "model")
            artifact.add_file(str(recommended.model_path))
            self._search.log_artifact(artifact)
