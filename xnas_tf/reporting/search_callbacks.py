"""The callbacks that report on a search: progress, TensorBoard and the final evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from xnas_tf.execution.callbacks import Callback, SearchContext
from xnas_tf.reporting.final_evaluation import FinalEvaluation
from xnas_tf.reporting.search_progress import SearchProgress
from xnas_tf.reporting.tensorboard import TensorBoard
from xnas_tf.reporting.unfailing import Unfailing


def search_callbacks(context: SearchContext) -> Sequence[Callback]:
    """Create the callbacks of a search that is run from the command line or from Python."""
    progress = SearchProgress(context.config, context.path, context.seconds_spent)
    board = TensorBoard(context)
    final = FinalEvaluation(context, board, progress.on_message)
    return [Unfailing(each, progress.on_message) for each in (progress, board, final)]
