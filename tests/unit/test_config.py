import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import xnas_tf
from xnas_tf.cli import main
from xnas_tf.config import (
    Config,
    Constraint,
    default_note,
    differing_keys,
    dump_config,
    load_config,
    load_stored_config,
    packaged_configs,
)
from xnas_tf.config.reference import reference
from xnas_tf.errors import InputError
from xnas_tf.launcher.search import default_run_dir, search
from xnas_tf.registry import import_module, import_nothing_from, import_object

ROOT = Path(__file__).parents[2]


def test_quickstart_spells_out_the_defaults():
    assert load_config(ROOT / "configs/quickstart.yaml") == Config()


def test_a_name_alone_has_the_options_of_the_default():
    assert Config(space="nas_bench_201") == Config(space={"name": "nas_bench_201"}) == Config()
    assert Config(objectives=["error", {"name": "introspectability"}]) == Config()


def test_a_name_can_be_overridden_without_the_options_of_the_default():
    assert load_config(overrides=["space.name=vgg_like"]) == Config(space="vgg_like")


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_every_configuration_loads_and_survives_a_round_trip(path):
    config = load_config(path)
    assert Config.model_validate(yaml.safe_load(dump_config(config))) == config


def test_reference_is_up_to_date():
    assert (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8") == reference()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epocks=3", "unknown key training.epocks: 'epocks' (did you mean 'epochs'?"),
        ("trainig.epochs=3", "unknown key trainig: 'trainig' (did you mean 'training'?"),
        ("training.epochs=0", "training.epochs: given 0; input should be greater than or equal"),
        ("training.epochs=many", "training.epochs: given 'many'"),
        ("training.optimizer=sdg", "training.optimizer: given 'sdg'"),
        ("objectives=[eror]", "objectives.0: unknown objective 'eror' (did you mean 'error'?"),
        ("objectives=[error, error]", "objectives: the same objective is given twice"),
        (
            "objectives.1.sources=[gradcam]",
            "objectives.1.sources: unknown source 'gradcam' (did you mean 'grad_cam'?",
        ),
        ("objectives.1.sources={grad_cam: -1}", "the weight of grad_cam is -1.0"),
        ("objectives.1.sorces=[grad_cam]", "unknown key objectives.1.sorces: 'sorces'"),
        ("objectives.7.images=3", "'7' is not a list index below 2"),
        ("space=nas_bench_102", "space: unknown search space 'nas_bench_102' (did you mean"),
        ("space.chanels=4", "unknown key space.chanels: 'chanels' (did you mean 'channels'?"),
        ("space.channels=0", "space.channels: given 0"),
        ("constraints.parameters=500", "constraints.parameters: given 500; allowed"),
        ("constraints.params='<= 1'", "unknown objective 'params'"),
        ("dataset.validation=0.9", "leave no images to train on"),
        ("training.learning_rate=.nan", "training.learning_rate: given nan"),
        (
            "search.reference={eror: 1, introspectability: 0}",
            "search.reference: unknown objective 'eror' (did you mean 'error'?",
        ),
        ("search.epsilons={error: 1}", "search.epsilons: no value for objective 'introspect"),
        ("search.epsilons={error: 0, introspectability: 1}", "search.epsilons: given 0 for error"),
        ("search.hours=0", "search.hours: given 0"),
        ("search.fidelity.epochs=[1, 3, 3]", "search.fidelity.epochs: given [1, 3, 3]; allowed"),
        ("search.fidelity.epochs=[3, 1]", "search.fidelity.epochs: given [3, 1]; allowed: two or"),
        ("search.fidelity.epochs=[3]", "search.fidelity.epochs: given [3]; allowed: two or more"),
        ("search.fidelity.epochs=[0, 3]", "search.fidelity.epochs.0: given 0"),
        ("search.fidelity.epocks=[1, 3]", "unknown key search.fidelity.epocks: 'epocks' (did you"),
        ("search.fidelity=3", "search.fidelity: given 3"),
        ("epochs", "`overrides` 'epochs' is not of the form key=value"),
        ("training.epochs.more=1", "'epochs' has no keys of its own"),
        ("training=[", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_named(override, message):
    with pytest.raises(InputError) as error:
        load_config(ROOT / "configs/quickstart.yaml", [override])
    assert message in str(error.value)


def test_overrides_reach_into_short_forms_and_defaults(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("dataset: digits\n")
    config = load_config(path, ["dataset.test=0.1", "space.channels=4", "objectives.0=flops"])
    assert (config.dataset.name, config.dataset.test) == ("digits", 0.1)
    assert (config.space.channels, config.space.cells_per_stack) == (4, 1)
    assert [objective.name for objective in config.objectives] == ["flops", "introspectability"]


def test_defaults_follow_overrides_of_a_config_as_of_a_file():
    own = "space={hypermodel: 'mine:Net'}"
    for source in (None, Config(), Config(training={"epochs": 3}), load_config("quickstart")):
        training = load_config(source, ["training.optimizer=adam"]).training
        assert (training.optimizer, training.learning_rate) == ("adam", 0.001)
        training = load_config(source, [own]).training
        assert (training.optimizer, training.learning_rate) == ("adam", 0.001)
        assert load_config(source).training == Config().training
    slow = Config(training={"learning_rate": 0.01})
    assert load_config(slow, ["training.optimizer=adam"]).training.learning_rate == 0.01
    every = load_config(Config(search={"algorithm": "all"}), ["search.seed=1"])
    assert "candidates" not in every.search.model_fields_set  # every network is trained


def test_a_run_is_named_after_the_file_and_a_config_needs_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_run_dir("configs/pets.yaml") == Path("runs/pets")
    assert default_run_dir(None) == Path("runs/quickstart")
    with pytest.raises(InputError, match="`run_dir`: not given, but a Config has no file"):
        search(Config())
    assert not any(tmp_path.iterdir())


def test_a_missing_file_names_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match="did you mean 'configs/quickstart.yaml'"):
        load_config("configs/quickstrat.yaml")


@pytest.mark.parametrize("name", packaged_configs())
def test_a_packaged_configuration_needs_no_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = load_config(ROOT / f"configs/{name}.yaml")
    assert load_config(name) == load_config(f"configs/{name}.yaml") == known
    assert default_run_dir(name) == Path("runs") / name
    (tmp_path / name).write_text("dataset: digits")  # a file of that name is that file
    assert load_config(name).dataset.name == "digits"


def test_the_help_of_a_search_names_the_packaged_configurations():
    text = CliRunner().invoke(main, ["search", "--help"]).output
    ending = "-control"
    assert {name for name in packaged_configs() if name.removesuffix(ending) not in text} == set()
    with pytest.raises(InputError, match="did you mean 'quickstart'"):
        load_config("quickstrat")


def test_an_example_is_imported_from_the_package_unless_there_is_another(tmp_path, monkeypatch):
    """As outside a checkout, where a folder of that name may be the user's own."""
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p and Path(p) != ROOT])
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "examples"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(xnas_tf, "__path__", [*xnas_tf.__path__, str(ROOT)])
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "own.py").write_text("import missing_module")
    found = import_object("examples.calibration:CalibrationError", "objective")
    assert found.__module__ == "xnas_tf.examples.calibration"
    for target in ("examples.own:A", "examples.absent:A"):
        with pytest.raises(InputError, match="importing examples"):
            import_object(target, "objective")
    with pytest.raises(InputError, match=r"There is no mymodels\.py"):  # of the same length
        import_object("mymodels.calibration:A", "objective")


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2", "\x00", "a: 2026-13-01"])
def test_a_broken_file_is_named(tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match="broken.yaml"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "search: {seed: 1}\ntest: all\nsearch: {seed: 2}",
            "'search' is already .* line 1(.|\n)*3",
        ),
        ("objectives:\n- {name: latency,\n   name: error}", "'name' is already given in line 2"),
    ],
)
def test_a_key_that_is_given_twice_is_an_error(tmp_path, text, message):
    """PyYAML would ignore the first."""
    path = tmp_path / "twice.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_config(path)
    with pytest.raises(InputError, match="'seed' is already given in line 1"):
        load_config(overrides=["search={seed: 1, seed: 2}"])
    path.write_text("dataset: &base {seed: 1}\nsearch: {<<: *base, seed: 2}")
    assert load_config(path).search.seed == 2


def test_local_file_comes_before_the_quickstart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config() == Config()
    (tmp_path / "xnas.yaml").write_text("training: {epochs: 7}")
    assert load_config().training.epochs == 7


def test_without_a_configuration_the_quickstart_is_announced_and_others_are_named(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yaml").write_text("services: {a: 1}")
    (tmp_path / "broken.yaml").write_text("a: [")
    missing = ["search", "--set", "dataset=npz:missing.npz"]
    said = CliRunner().invoke(main, missing)
    assert said.exit_code == 2 and "missing.npz" in said.stderr
    assert said.stderr.startswith("there is no xnas.yaml here, so this is the quickstart")
    (tmp_path / "mine.yaml").write_text("training: {epochs: 7}")
    assert default_note().startswith("warning: there is no xnas.yaml here")
    assert default_note().endswith("name it: mine.yaml")
    named = CliRunner().invoke(main, [*missing, "mine.yaml"])
    assert "quickstart" not in named.stderr and "missing.npz" in named.stderr
    (tmp_path / "xnas.yaml").touch()
    assert default_note() == ""


def test_differing_keys_are_named():
    other = load_config(Config(), ["training.epochs=4", "objectives.1.images=10"])
    assert differing_keys(Config(), other) == [
        "objectives.1.images: None -> 10",
        "training.epochs: 3 -> 4",
    ]


@given(st.sampled_from(["<=", ">="]), st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_constraint_is_violated_exactly_where_python_says(operator, limit, value):
    constraint = Constraint.parse(f"{operator} {limit:_}")
    holds = value <= limit if operator == "<=" else value >= limit
    assert (constraint.violation(value) == 0) == holds
    assert Constraint.parse(str(constraint)) == constraint


def test_the_last_rung_is_the_full_length_of_a_training():
    rungs = "search.fidelity.epochs=[3, 9, 27]"
    assert load_config(overrides=[rungs]).training.epochs == 27
    config = load_config(overrides=[rungs, "training.batch_size=20"])
    assert (config.training.epochs, config.training.batch_size) == (27, 20)
    assert config.rungs == [3, 9, 27] and load_config().rungs == [3]
    assert load_config(config) == config
    with pytest.raises(InputError, match="its last rung is 27, but training.epochs is 9"):
        load_config(overrides=[rungs, "training.epochs=9"])
    with pytest.raises(InputError, match="search.fidelity.epochs: its last rung is 9"):
        load_config(config, ["search.fidelity.epochs=[3, 9]"])


def test_the_reference_names_every_type():
    rows = [line.split("|") for line in reference().replace("\\|", "/").splitlines() if "|" in line]
    for row in rows:
        kinds = row[2].split(",")[0].split("/") if row[1].strip().startswith("`") else ["-"]
        assert all(kind.strip() for kind in kinds), row


def test_a_run_of_an_earlier_version_keeps_what_was_measured_then(tmp_path):
    """Options that it could not keep have the value that was in effect, not today's default."""
    config = load_config(overrides=["objectives=[error, introspectability, disentanglement]"])
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(config))
    assert load_stored_config(file) == config
    data = yaml.safe_load(dump_config(config))
    for option in ("estimator", "missing_classes", "min_images"):
        del data["objectives"][1][option]
    del data["objectives"][2]["false_alarms"], data["record"]
    file.write_text(yaml.safe_dump(data))
    _, introspectability, disentanglement = load_stored_config(file).objectives
    assert introspectability.estimator == "plain" and introspectability.min_images == 1
    assert introspectability.missing_classes == "ignore" and disentanglement.false_alarms == 1
    changed = differing_keys(load_stored_config(file), config)
    assert {line.partition(":")[0] for line in changed} == {
        *(f"objectives.1.{name}" for name in ("estimator", "missing_classes", "min_images")),
        "objectives.2.false_alarms",
    }
    file.write_text("objectives: [error, {images: 3}, 7]")
    with pytest.raises(InputError, match="config.yaml: objectives"):
        load_stored_config(file)


def test_reading_a_run_calls_nothing_that_its_configuration_names(tmp_path):
    file, made = tmp_path / "config.yaml", tmp_path / "made"
    callback = {"name": "subprocess:getoutput", "cmd": f"touch {made}"}
    file.write_text(yaml.safe_dump({"callbacks": [callback]}))
    assert not load_stored_config(file).callbacks and not made.exists()


LEAVES_A_TRACE = "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\nA = 1"


@pytest.mark.parametrize("code", ["{run}/evil.py", "{run}/evil/__init__.py", "{run}/__init__.py"])
@pytest.mark.parametrize("here", ["", "{run}"])
def test_no_code_in_the_folder_of_a_run_is_imported(code, here, tmp_path, monkeypatch):
    run = f"run_of_a_stranger_{len(code)}_{len(here)}"  # of which nothing has been imported
    file = tmp_path / code.format(run=run)
    file.parent.mkdir(parents=True)
    file.write_text(LEAVES_A_TRACE)
    monkeypatch.chdir(tmp_path / here.format(run=run))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    name = "evil" if here and "evil" in code else f"{run}.evil"
    config = tmp_path / run / "config.yaml"
    config.write_text(f"objectives: ['{name}:A']")
    with pytest.raises(InputError, match="in the folder of a run, from which nothing is imported"):
        load_stored_config(config)
    config.write_text(f"space: {{hypermodel: '{name}:A'}}")
    with pytest.raises(InputError, match="in the folder of a run"):
        import_module(load_stored_config(config).space.hypermodel_module)
    assert not list(tmp_path.rglob("*.ran"))


def test_a_retraining_imports_nothing_from_its_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil_code.py").write_text(LEAVES_A_TRACE)
    (tmp_path / "run.sqlite").touch()
    file = tmp_path / "retrained" / "3-epochs" / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("objectives: ['evil_code:A']")
    with pytest.raises(InputError, match="in the folder of a run"):
        load_stored_config(file)


def test_the_current_folder_is_searched_only_for_modules_in_it(tmp_path, monkeypatch):
    """A folder of data may contain a file called like a package, such as pandas.py."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for target in ("xnas_tf.errors:InputError", "json:dumps"):
        assert import_object(target, "thing")
    assert str(tmp_path) not in sys.path
    (tmp_path / "only_here.py").write_text("A = 1")
    assert import_object("only_here:A", "thing") == 1
    assert sys.path[0] == str(tmp_path)


def test_an_imported_module_is_found_although_a_run_was_read_from_its_folder(tmp_path, monkeypatch):
    """As in a script that searches with its own code and reads the run afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "imported_before.py").write_text("A = 1")
    before = import_module("imported_before")
    import_nothing_from(tmp_path)
    assert import_module("imported_before") is before


def test_folders_that_cannot_be_read_are_passed_over_as_in_any_import(tmp_path, monkeypatch):
    unreadable = tmp_path / ("long" * 100)  # an error even for root, who may read all folders
    monkeypatch.setattr(sys, "path", [str(unreadable), *sys.path])
    assert import_object("json:dumps", "thing")
    with pytest.raises(InputError, match="There is no missing_here.py"):
        import_object("missing_here:A", "thing")
