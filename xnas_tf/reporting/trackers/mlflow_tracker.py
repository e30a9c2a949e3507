"""Logs a search to MLflow, with one run for the search and a nested run for each candidate."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from xnas_tf.candidate import Candidate
from xnas_tf.execution.search_run import SearchRun
from xnas_tf.reporting.trackers.base import (
    Tracker,
    candidate_parameters,
    candidate_values,
    search_parameters,
)
from xnas_tf.training.callbacks import Interrupted

if TYPE_CHECKING:
    from mlflow import MlflowClient

CANDIDATE, STATE = "xnas_tf.candidate", "xnas_tf.state"
"""Tags of a candidate's run."""
_PARENT = "mlflow.parentRunId"
_MAX_PARAMETERS, _MAX_METRICS = 100, 1000
"""Maximum number of items that MLflow accepts at once."""
_GROUPS = ("best", "epoch", "front", "seconds")
"""Prefixes of metric names, which MLflow shows as groups."""
_MAX_RUNS = 50_000
"""Number of runs that MLflow returns at once."""


class MLflow(Tracker):
    """A callback that logs a search to MLflow.

    The ``MLFLOW_*`` environment variables apply; put credentials there.

    Args:
        experiment: Name of the experiment; if None, MLFLOW_EXPERIMENT_NAME or ``xnas-tf``.
        tracking_uri: The tracking server or store; if None, MLFLOW_TRACKING_URI or MLflow's
            default.
    """

    package = "mlflow"

    def __init__(self, experiment: str | None = None, tracking_uri: str | None = None) -> None:
        super().__init__()
        self._experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "xnas-tf"
        self._tracking_uri = tracking_uri
        self._client: MlflowClient
        self._experiment_id = self._search_id = ""
        self._runs: dict[int, str] = {}
        """Ids of the candidates' MLflow runs."""

    def _open(self, run: SearchRun) -> None:
        from mlflow import MlflowClient  # noqa: PLC0415 - heavy

        self._client = MlflowClient(self._tracking_uri)
        if not self._resume(self._record.get("run_id")):
            self._create(run)
            self._keep("run_id", self._search_id)

    def _is_logged(self, candidate: Candidate) -> bool:
        return candidate.id in self._runs

    def _resume(self, run_id: str | None) -> bool:
        """Resume the MLflow run that an earlier session created, and return whether it exists."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - heavy

        try:
            known = self._client.get_run(run_id) if run_id else None
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            known = None
        if known is None or known.info.lifecycle_stage != "active":
            return False
        self._search_id, self._experiment_id = known.info.run_id, known.info.experiment_id
        self._client.update_run(self._search_id, status="RUNNING")
        nested = f"tags.`{_PARENT}` = '{self._search_id}'"
        for each in self._client.search_runs([self._experiment_id], nested, max_results=_MAX_RUNS):
            if each.info.status == "RUNNING":  # a session was killed while logging it
                self._client.delete_run(each.info.run_id)
            else:
                self._runs[int(each.data.tags[CANDIDATE])] = each.info.run_id
        return True

    def _create(self, run: SearchRun) -> None:
        client, known = self._client, self._client.get_experiment_by_name(self._experiment)
        number = known.experiment_id if known else client.create_experiment(self._experiment)
        created = client.create_run(number, run_name=run.path.resolve().name)
        self._experiment_id, self._search_id = number, created.info.run_id
        self._log_parameters(self._search_id, search_parameters(run.config))

    def _log_candidate(self, candidate: Candidate) -> None:
        tags = {
            _PARENT: self._search_id,
            CANDIDATE: str(candidate.id),
            STATE: candidate.state,
            "mlflow.note.content": candidate.reason[:5000],
        }
        begin, end = _milliseconds(candidate.started), _milliseconds(candidate.finished)
        name = f"candidate {candidate.id}"
        created = self._client.create_run(self._experiment_id, begin, tags, name)
        number = created.info.run_id
        self._log_parameters(number, candidate_parameters(candidate))
        epochs = [
            (f"epoch/{name}", value, epoch)
            for epoch, values in enumerate(candidate.history, start=1)
            for name, value in values.items()
        ]
        final = [(name, v, candidate.epochs) for name, v in candidate_values(candidate).items()]
        self._log_metrics(number, [*epochs, *final])
        status = "FAILED" if candidate.state == "failed" else "FINISHED"
        self._client.set_terminated(number, status, end)
        self._runs[candidate.id] = number

    def _log_generation(self, values: dict[str, float], generation: int) -> None:
        self._log_metrics(self._search_id, ((n, v, generation) for n, v in values.items()))

    def _close(self, error: BaseException | None) -> None:
        stopped = isinstance(error, Interrupted | KeyboardInterrupt)
        status = "KILLED" if stopped else "FAILED" if error else "FINISHED"
        self._client.set_terminated(self._search_id, status)

    def _log_results(self, run: SearchRun) -> None:
        """Log the test metrics, the plot of the front, and the recommended model."""
        for candidate in run.pareto():
            tested = [pair for pair in candidate.metrics.items() if pair[0].startswith("test_")]
            metrics = ((name, value, candidate.epochs) for name, value in tested)
            self._log_metrics(self._runs[candidate.id], metrics)
        self._client.log_figure(self._search_id, run.plot_front(), "front.png")
        model = None
        if recommended := run.best:
            self._client.set_tag(self._search_id, "xnas_tf.recommended", str(recommended.id))
            model = recommended.model_path
        for file in (run.path / "config.yaml", run.path / "report.html", model):
            if file and file.is_file():
                folder = "model" if file == model else None
                self._client.log_artifact(self._search_id, str(file), folder)

    def _log_parameters(self, run_id: str, parameters: Mapping[str, Any]) -> None:
        from mlflow.entities import Param  # noqa: PLC0415 - heavy

        params = [Param(_name(key), str(value)[:6000]) for key, value in parameters.items()]
        for first in range(0, len(params), _MAX_PARAMETERS):
            self._client.log_batch(run_id, params=params[first : first + _MAX_PARAMETERS])

    def _log_metrics(self, run_id: str, values: Iterable[tuple[str, float, int]]) -> None:
        """Log metrics, each with a name, a value and a step."""
        from mlflow.entities import Metric  # noqa: PLC0415 - heavy

        time = _milliseconds("")
        metrics = [Metric(_name(name), float(value), time, step) for name, value, step in values]
        for first in range(0, len(metrics), _MAX_METRICS):
            self._client.log_batch(run_id, metrics=metrics[first : first + _MAX_METRICS])


def _name(key: str) -> str:
    """Convert a name, which may contain any characters, to one that MLflow allows."""
    group, slash, name = key.partition("/")
    if group not in _GROUPS:  # MLflow's file store cannot keep both `a` and `a/b`
        group, slash, name = "", "", key
    allowed = re.sub(r"[^\w -]+", ".", name)[:240].strip(".")
    return f"{group}{slash}{allowed or '_'}"


def _milliseconds(time: str) -> int:
    """Convert a recorded time to MLflow's unit; if it is empty, use the current time."""
    moment = datetime.fromisoformat(time) if time else datetime.now()
    return round(moment.timestamp() * 1000)
