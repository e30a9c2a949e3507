"""Keras' settings at the top of a user's module: kept, or refused by name."""

import sys
import threading

import keras
import keras_tuner
import numpy as np
import pytest

from tests.unit.test_exporting import made_run
from tests.unit.test_heads import SHAPE, Head, evaluate
from xnas_tf.config import load_config
from xnas_tf.errors import InputError
from xnas_tf.execution.preparation import _problem_of
from xnas_tf.explanation.model_loading import load_subject
from xnas_tf.interpretation.flint import Interpreter
from xnas_tf.keras_tools import compat
from xnas_tf.keras_tools.input_range import from_unit_model
from xnas_tf.keras_tools.settings import KerasSettings, clear_session
from xnas_tf.objectives.introspectability import Introspectability
from xnas_tf.spaces.options import HyperModelOptions
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.tuner.rebuilding import CLASSES, IMAGE_SHAPE, assumed_data

CHANGES = {
    "policy": lambda: keras.config.set_dtype_policy("mixed_bfloat16"),
    "floatx": lambda: keras.config.set_floatx("float64"),
    "epsilon": lambda: keras.config.set_epsilon(1e-5),
    "safe_mode": keras.config.enable_unsafe_deserialization,
    "flash_attention": keras.config.disable_flash_attention,
}


@pytest.fixture(autouse=True)
def settings():
    before = KerasSettings.current()
    yield before
    keras.config.set_image_data_format("channels_last")
    before.apply()


@pytest.mark.parametrize("name", CHANGES)
def test_settings_outlive_a_session(settings, name):
    CHANGES[name]()
    changed = KerasSettings.current()
    assert getattr(changed, name) != getattr(settings, name)
    clear_session()
    assert KerasSettings.current() == changed
    settings.apply()
    assert KerasSettings.current() == settings


def test_a_policy_reaches_all_candidates_in_any_thread():
    keras.config.set_dtype_policy("mixed_float16")
    space = SearchSpace(Head(3, "softmax"), SHAPE, 3)
    keras.backend.clear_session()
    found = []

    def build():
        model = space.build({"filters": 3})
        found.append([layer.dtype_policy.name for layer in model.layers[1:]])

    build()
    thread = threading.Thread(target=build)  # where Keras has the settings of no other thread
    thread.start()
    thread.join()
    assert found == [["mixed_float16"] * 3] * 2


class Changing(Head):
    """Changes the policy for some of its models."""

    def build(self, hp):
        if hp.Boolean("half"):
            keras.config.set_dtype_policy("mixed_bfloat16")
        return super().build(hp)


def test_what_one_candidate_sets_is_not_set_for_another():
    space = SearchSpace(Changing(3, "softmax"), SHAPE, 3)
    policies = [
        space.build({"filters": 3, "half": half}).layers[1].dtype_policy.name
        for half in (False, True, False)
    ]
    assert policies == ["float32", "mixed_bfloat16", "float32"]


class Half(Head):
    """Sets the policy in build."""

    def build(self, hp):
        keras.config.set_dtype_policy("mixed_bfloat16")
        return super().build(hp)


def test_what_build_sets_ends_with_its_candidate(settings):
    hypermodel = Half(2, "softmax")
    evaluate(hypermodel, "error")
    assert KerasSettings.current() == settings
    assert not _problem_of(Introspectability(), SearchSpace(hypermodel, SHAPE, 2), {"filters": 3})
    assert KerasSettings.current() == settings


@pytest.mark.parametrize("units", [3, "no number"])
def test_a_look_at_the_default_model_leaves_the_settings_alone(units):
    """So that a search after ``Tuner.search_space_summary`` trains in the user's precision."""
    keras.config.set_dtype_policy("mixed_float16")
    options = {"units": units, "activation": "softmax"}
    space = HyperModelOptions(hypermodel=f"{Half.__module__}:Half", options=options)
    assert assumed_data(space) == ((SHAPE, 3) if units == 3 else (IMAGE_SHAPE, CLASSES))
    assert keras.config.dtype_policy().name == "mixed_float16"


def test_images_are_scaled_in_float32_whatever_the_policy():
    keras.config.set_dtype_policy("mixed_float16")
    model = Head(2, "softmax").build(keras_tuner.HyperParameters())
    images = np.random.default_rng(0).random((2, *SHAPE), np.float32)
    scaled = from_unit_model(model, SHAPE, "-1-1").layers[0](images)
    np.testing.assert_array_equal(scaled, images * np.float32(2) - 1)


def test_a_model_of_half_precision_learns():
    keras.config.set_dtype_policy("mixed_float16")
    result, model = evaluate(Head(1, "sigmoid", "binary_crossentropy"), "error")
    assert model.layers[1].compute_dtype == "float16" and result.metrics["val_accuracy"] > 0.9


def test_an_interpreter_computes_in_float32_whatever_the_policy():
    keras.config.set_dtype_policy("mixed_float16")
    model = Head(2, "softmax").build(keras_tuner.HyperParameters())
    outputs = Interpreter(model, 3).look(np.zeros((1, *SHAPE), np.float32))
    assert {each.dtype.name for each in outputs} == {"float32"}


def test_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    with pytest.raises(InputError, match="image_data_format is 'channels_first'"):
        SearchSpace(Head(3, "softmax"), SHAPE, 3)


def test_a_model_is_loaded_with_what_its_module_sets(tmp_path, monkeypatch):
    (tmp_path / "sets_unsafe.py").write_text(
        "import keras\nkeras.config.enable_unsafe_deserialization()\ndef build(hp): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    inputs = keras.Input(SHAPE)
    x = keras.layers.Lambda(lambda x: 2 * x)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax")(keras.layers.Flatten()(x)))
    run = made_run(tmp_path / "run", "grey", {1: model})
    with pytest.raises(InputError, match="cannot be loaded in safe mode"):
        load_subject(run.path, 1)
    config = load_config(run.path / "config.yaml", ["space={hypermodel: 'sets_unsafe:build'}"])
    monkeypatch.setattr("xnas_tf.storage.run.run_config", lambda _: config)
    images = np.ones((2, *SHAPE), np.float32)
    np.testing.assert_allclose(load_subject(run.path, 1).model(images), model(images))
    assert compat.safe_mode() is False and "sets_unsafe" in sys.modules


@pytest.mark.parametrize("name", ["policy", "floatx", "epsilon"])
def test_ranks_on_ray_differ_from_a_driver_with_other_settings(name):
    pytest.importorskip("ray")
    from xnas_tf.launcher.ray.rank import different_facts, facts_of

    before = facts_of("data", {})
    CHANGES[name]()
    line, hint = different_facts(before, facts_of("data", {}))
    assert line.startswith(f"keras.config.{name}: ") and "set keras.config in" in hint
