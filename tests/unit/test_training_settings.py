"""The model card has the settings with which a model was really trained."""

import json
from types import SimpleNamespace

import keras
import pytest
from keras.optimizers import schedules

from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.exporting.card_text import _training
from xnas_tf.exporting.selection import ExportSelection
from xnas_tf.exporting.training_settings import optimizer_settings, training_settings
from xnas_tf.spaces.building import code_of
from xnas_tf.utils.source_code import source_hashes

FACTS = {"image_shape": [8, 8, 1], "class_names": ["a", "b", "c"]}
VALUES = {"learning_rate": 0.00108, "blocks": 1, "filters": 8}
COMPILED = "space={hypermodel: 'examples.small_convnet:SmallConvNet'}"


def settings(space, safe=True, **facts):
    config = load_config(overrides=[space, "training.weight_decay=0.5", "training.epochs=7"])
    chosen = ExportSelection("c", Candidate(1, "", VALUES, epochs=4), config, facts.get("code"))
    found = training_settings(SimpleNamespace(fact=facts.get), FACTS, chosen, safe)
    assert found["epochs"] == 4 and found["batch_size"] == config.training.batch_size
    return config, found


def test_a_compiled_model_has_its_own_optimizer():
    config, found = settings(COMPILED, own_optimizer=True)
    code = source_hashes(code_of(config.space.create((8, 8, 1), 3)))
    assert settings(COMPILED, own_optimizer=True, code=code)[1] == found
    assert (found["optimizer"], found["learning_rate"]) == ("Adam", 0.00108)
    assert (found["schedule"], found["weight_decay"]) == ("constant", 0.0)
    assert "warmup_epochs" not in found and found["optimizer_config"]["beta_1"] == 0.9
    shown = _training({"training": found, "versions": {}, "seed": 1})
    assert "optimizer Adam, learning rate 0.00108, schedule constant" in shown


@pytest.mark.parametrize(
    ("space", "code", "why"),
    [
        (
            COMPILED,
            {"examples.small_convnet": "other"},
            "small_convnet.py has changed since",
        ),
        ("space={hypermodel: 'no_such_module:Mine'}", None, "importing no_such_module failed"),
    ],
)
def test_an_optimizer_that_is_not_known_is_not_invented(space, code, why):
    _, found = settings(space, own_optimizer=True, code=code)
    assert found["optimizer"].startswith("as compiled by the HyperModel, unknown here (")
    assert why in found["optimizer"] and "learning_rate" not in found


@pytest.mark.parametrize("target", ["subprocess:getoutput", "timeit:timeit"])
def test_a_function_named_by_a_run_from_somebody_else_is_not_called(target, tmp_path):
    option = "setup" if "timeit" in target else "cmd"
    command = f"import pathlib; pathlib.Path({str(tmp_path / 'made')!r}).touch()"
    if option == "cmd":
        command = f"touch {tmp_path / 'made'}"
    space = {"hypermodel": target, "options": {option: command}}
    _, found = settings(f"space={json.dumps(space)}", own_optimizer=True)
    assert f"{target} is called only with --unsafe" in found["optimizer"]
    assert not (tmp_path / "made").exists()
    settings(f"space={json.dumps(space)}", safe=False, own_optimizer=True)
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("space", ["space=vgg_like", "space={hypermodel: 'no_such_module:Mine'}"])
def test_other_models_have_the_optimizer_of_the_configuration(space):
    config, found = settings(space, own_optimizer=False)
    assert found == config.training.model_dump(mode="json") | {"epochs": 4}


def test_the_optimizer_of_another_hypermodel_that_was_retrained_is_not_that_of_the_search():
    searched, other = (
        load_config(overrides=[f"space={{hypermodel: 'no_such_module:{name}'}}"])
        for name in ("Small", "Large")
    )
    run = SimpleNamespace(fact={"own_optimizer": False}.get, config=searched)
    for config, is_unknown in ((searched, False), (other, True)):
        chosen = ExportSelection("c", Candidate(1, "", VALUES), config, is_retrained=True)
        found = training_settings(run, FACTS, chosen, safe=True)
        assert ("unknown here" in found["optimizer"]) == is_unknown


def test_a_schedule_is_named_with_its_initial_rate():
    decay = schedules.CosineDecay(0.25, 10)
    inner = keras.optimizers.AdamW(decay, weight_decay=0.125)
    for optimizer in (inner, keras.optimizers.LossScaleOptimizer(inner)):
        found = optimizer_settings(optimizer)
        assert found.pop("optimizer_config")["beta_2"] == 0.999
        assert found == {
            "optimizer": "AdamW",
            "learning_rate": 0.25,
            "schedule": "CosineDecay",
            "weight_decay": 0.125,
        }
