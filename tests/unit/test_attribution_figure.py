"""How images and their maps are laid out in a figure."""

import itertools

import numpy as np
import pytest

from xnas_tf.attribution import attribution_method
from xnas_tf.explanation.drawing import attribution_figure


@pytest.mark.parametrize(
    ("shape", "count"), [((40, 56), 6), ((28, 28), 8), ((90, 40), 3), ((32, 32), 1)]
)
def test_rows_of_images_are_in_line_and_close_whatever_their_shape(shape, count):
    rng = np.random.default_rng(0)
    methods = [attribution_method(name) for name in ("grad_cam", "integrated_gradients")]
    maps = {method: rng.random((count, *shape)) for method in methods}
    images = rng.integers(0, 256, (count, *shape, 1), dtype=np.uint8)
    figure = attribution_figure(images, maps, [("no bat", "black")] * count, "title")
    figure.canvas.draw()
    rows, bars = figure.axes[:3], figure.axes[3:]
    boxes = [axis.get_window_extent() for axis in rows]
    for above, below in itertools.pairwise(boxes):
        assert 0 <= above.y0 - below.y1 <= 0.4 * figure.dpi
        assert above.x0 == pytest.approx(below.x0, abs=1)
    for row, bar in zip(rows[1:], bars, strict=True):
        assert bar.get_window_extent().height <= row.get_window_extent().height + 1
        assert {label.get_fontsize() for label in bar.get_yticklabels()} == {8}
