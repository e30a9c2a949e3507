"""Creates a search's callbacks: this package's reporting callbacks and the user's callbacks."""

from __future__ import annotations

from collections.abc import Sequence

from xnas_tf.execution.callbacks import Callback, SearchContext
from xnas_tf.reporting.final_evaluation import FinalEvaluation
from xnas_tf.reporting.search_progress import SearchProgress
from xnas_tf.reporting.tensorboard import TensorBoard


def search_callbacks(context: SearchContext, more: Sequence[Callback] = ()) -> Sequence[Callback]:
    """Create this package's callbacks for a search, and add the user's."""
    progress = SearchProgress(context.config, context.seconds_spent)
    board = TensorBoard(context)
    return [progress, board, FinalEvaluation(context, board, progress.on_message), *more]
