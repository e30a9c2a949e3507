"""How images and their maps are laid out in a figure."""

import itertools

import numpy as np
import pytest

from xnas_tf.attribution import attribution_method
from xnas_tf.data import Dataset, Split
from xnas_tf.explanation.drawing import attribution_figure, drawable
from xnas_tf.interpretation.drawing import draw_image, new_figure
from xnas_tf.reporting.contact_sheet import SHOWN_IMAGES, sheet_figure
from xnas_tf.utils.shown_channels import shown_channels_sentence


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


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        (1, ""),
        (2, "channel 0 of 2 in grey"),
        (3, ""),
        (4, "channels 0, 1 and 2 of 4 as red, green and blue"),
        (5, "channels 0, 1 and 2 of 5 as red, green and blue"),
    ],
)
def test_all_pictures_show_the_same_channels_and_say_which(channels, said):
    """Data sheets once showed the first channel of five, and explanations the first three."""
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 6, channels), dtype=np.uint8)
    split = Split(images, np.array([0, 0, 1, 1], np.int32))
    sheet = sheet_figure(Dataset("bands", ("a", "b"), split, split, split))
    strips = np.asarray(sheet.axes[0].images[0].get_array())
    on_sheet = strips.reshape(2, 8, SHOWN_IMAGES, 8, *strips.shape[2:])[0, 1:-1, 0, 1:-1]
    axis = new_figure(1, 1).subplots()
    draw_image(axis, images[0])
    method = attribution_method("grad_cam")
    figure = attribution_figure(images[:1], {method: np.ones((1, 6, 6))}, [("a", "black")], "")
    expected = images[0][..., :3] if channels > 2 else images[0][..., 0]
    for shown in (
        on_sheet,
        axis.images[0].get_array(),
        figure.axes[0].images[0].get_array(),
        drawable(images[0]),
    ):
        np.testing.assert_array_equal(shown, expected)
    label = " ".join(figure.axes[0].get_ylabel().split())
    assert label == (f"image ({said})" if said else "image")
    assert sheet.get_suptitle().partition("\nshown: ")[2] == said
    sentence = shown_channels_sentence(images.shape)
    assert sentence == (f"Pictures of images show {said}." if said else "")
    assert not shown_channels_sentence((4, 6, 6))
