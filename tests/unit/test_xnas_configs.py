"""The configurations of the XNAS paper's experiment: what they set, and what tries them out."""

import pytest

from tests.documented import ROOT, head_command
from xnas_tf.config import differing_keys, load_config

CODE = {
    "mnist": {"epochs": 5, "crop": 4, "flip": False, "cutout": 8, "keep": "last"},
    "cifar10": {"epochs": 12, "crop": 4, "flip": True, "cutout": 8, "keep": "best"},
    "imagenet16-120": {"epochs": 200, "crop": 2, "flip": True, "cutout": 4, "keep": "last"},
}
"""What differs between the data sets in the code of the paper (``experiments/*``)."""


def configuration(name, overrides=()):
    return load_config(ROOT / f"configs/xnas-{name}.yaml", overrides)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "imagenet16-120"])
def test_the_settings_are_those_of_the_papers_code(name):
    config = configuration(name)
    training, search = config.training, config.search
    found = {**training.model_dump(), **training.augmentation.model_dump()}
    assert CODE[name].items() <= found.items()
    assert (training.warmup_epochs, training.schedule, training.batch_size) == (0.25, "cosine", 512)
    assert (search.population, search.candidates, search.crossover) == (64, 16_000, 0.9)
    assert (config.space.channels, config.space.cells_per_stack) == (16, 5)
    _, measure = config.objectives
    assert [*measure.sources] == ["activations"] and measure.images == 25_000
    is_weighted = name == "imagenet16-120"
    assert measure.similarity == ("wordnet" if is_weighted else None)
    assert getattr(measure, "weighting", "normalized") == ("paper" if is_weighted else "normalized")


@pytest.mark.parametrize("name", ["mnist", "cifar10", "imagenet16-120"])
def test_a_control_differs_in_what_is_searched_for_alone(name):
    config, control = configuration(name), configuration(f"{name}-control")
    sections = {key.partition(".")[0].partition(":")[0] for key in differing_keys(config, control)}
    assert sections == {"objectives", "record"}
    error, measure = config.objectives
    assert control.objectives == [error] and control.record == [measure] and config.record == []


@pytest.mark.parametrize("suffix", ["", "-control"])
@pytest.mark.parametrize("name", ["mnist", "cifar10", "imagenet16-120"])
def test_the_command_in_its_first_lines_makes_it_small(name, suffix):
    command, action, path, *options = head_command(ROOT / f"configs/xnas-{name}{suffix}.yaml")
    assert (command, action, path) == ("xnas-tf", "search", f"configs/xnas-{name}{suffix}.yaml")
    assert {*options[::2]} == {"--set"}
    config = configuration(f"{name}{suffix}", options[1::2])
    assert config.dataset.name == "mnist5k" and config.training.augmentation.flip in ("auto", False)
    assert (config.space.channels, config.search.candidates, config.training.epochs) == (8, 8, 2)
    measures = {measure.name: measure for measure in config.measures()}
    assert measures["introspectability"].similarity is None
    assert (len(config.objectives), len(config.record)) == ((1, 1) if suffix else (2, 0))
