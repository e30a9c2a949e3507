"""Shows a run's candidates as tables and figures, based on a single read of its database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.errors import InputError
from xnas_tf.interpretation.drawing import set_title
from xnas_tf.storage.columns import candidate_rows, measured_columns
from xnas_tf.strategy.pareto import comparable_candidates
from xnas_tf.strategy.recommendation import Recommendation
from xnas_tf.utils.markup import page_html, table_html
from xnas_tf.utils.number_format import counted, format_value, shortened

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Snapshot:
    """The state of a run at one time, with its front in order; a running search changes it."""

    path: Path
    config: Config
    candidates: Sequence[Candidate]
    front: Sequence[Candidate]
    recommended: Recommendation

    @property
    def comparable(self) -> list[Candidate]:
        """The finished candidates that have the same fidelity as the front."""
        return comparable_candidates(self.candidates, self.front)

    def data_frame(self) -> pandas.DataFrame:
        """See ``Run.to_dataframe``."""
        try:
            import pandas  # noqa: PLC0415 - heavy
        except ImportError as error:
            raise InputError(
                f"to_dataframe needs pandas, which cannot be imported ({error}): pip install pandas"
            ) from error
        ids = {candidate.id for candidate in self.front}
        columns, rows = candidate_rows(self.candidates, self.config, ids, self.recommended.id)
        return pandas.DataFrame(rows, columns=columns)

    def html(self, images: Mapping[str, int], collapsed: str) -> str:
        """Return a page for notebooks, with the number of images per split, and the front."""
        search, training = self.config.search, self.config.training
        parts = ", ".join(f"{count:,} {name}" for name, count in images.items())
        trained = sum(candidate.trained for candidate in self.candidates)
        facts = {
            "data": f"{self.config.dataset.name}{f' ({parts} images)' if parts else ''}",
            "budget": f"{trained} of {counted(search.candidates, 'training')}, "
            f"each of at most {counted(training.epochs, 'epoch')}",
            "front": f"{len(self.front)} of {counted(len(self.candidates), 'candidate')}",
            "collapsed": collapsed,
            "recommended": self.recommended.text,
        }
        return page_html(f"Run {self.path}", facts, self._front_table())

    def _front_table(self) -> str:
        columns = measured_columns(self.config)
        has_remarks = any(candidate.collapsed for candidate in self.front)
        titles = [column.title for column in columns]
        headings = ["id", *titles, *(["remark"] if has_remarks else []), "genotype"]
        rows = [
            [
                candidate.id,
                *(format_value(column.value(candidate)) for column in columns),
                *(["collapsed" if candidate.collapsed else ""] if has_remarks else []),
                shortened(candidate.genotype),
            ]
            for candidate in self.front
        ]
        ids = [candidate.id for candidate in self.front]
        recommended = self.recommended.id
        return table_html(headings, rows, ids.index(recommended) if recommended in ids else None)

    def front_figure(self, validation_images: int) -> Figure:
        """See ``Run.plot_front``; ``validation_images`` is 0 if unknown."""
        from xnas_tf.figures.front_figure import front_figure, front_info  # noqa: PLC0415 - heavy

        self._check_drawable()
        recommended = self.recommended.id
        info = front_info(self.candidates, self.front, self.config, recommended, validation_images)
        title = f"Pareto front: {len(self.front)} of {counted(len(self.candidates), 'candidate')}"
        return self._titled(front_figure(info), title)

    def history_figure(self) -> Figure:
        """See ``Run.plot_history``."""
        from xnas_tf.figures.progress import history_figure  # noqa: PLC0415 - heavy

        self._check_drawable()
        return self._titled(history_figure(self.candidates, self.config), "History")

    def importance_figure(self) -> Figure:
        """See ``Run.plot_importance``."""
        from xnas_tf.figures.importance import (  # noqa: PLC0415 - heavy
            importance_data,
            importance_figure,
        )

        influence = importance_data(self.comparable, self.config, np.random.default_rng(0))
        if influence["why_not"]:
            raise InputError(f"{self.path}: {influence['why_not']}")
        title = f"Importance of hyperparameters, from {influence['candidates']} candidates"
        return self._titled(importance_figure(influence, self.config), title)

    def parallel_figure(self) -> Figure:
        """See ``Run.plot_parallel``."""
        from xnas_tf.figures.parallel_figure import parallel_figure  # noqa: PLC0415 - heavy

        self._check_drawable()
        comparable = self.comparable
        figure = parallel_figure(comparable, self.front, self.config, self.recommended.id)
        return self._titled(figure, f"{counted(len(comparable), 'candidate')}, better values up")

    def _check_drawable(self) -> None:
        if not self.front:
            raise InputError(f"{self.path} has no Pareto-optimal candidates to draw yet")

    def _titled(self, figure: Figure, title: str) -> Figure:
        set_title(figure, f"{title} ({self.path.resolve().name})")
        return figure
