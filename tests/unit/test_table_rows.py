"""Tables that are collected from runs."""

import csv
import functools
import gzip
import json
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from keras_tuner import HyperParameters

from benchmarks import table_sample
from benchmarks.table_sample import sample
from tests.unit.test_benchmark import CELLS, write
from xnas_tf.benchmark import cell_flops
from xnas_tf.benchmark import table as tables
from xnas_tf.benchmark.problem import make_problem
from xnas_tf.benchmark.simulation import run_search
from xnas_tf.benchmark.table import read_table
from xnas_tf.benchmark.table_rows import published_cells, write_table
from xnas_tf.candidate import Candidate
from xnas_tf.cli import main
from xnas_tf.config import load_config
from xnas_tf.errors import InputError
from xnas_tf.objectives.cost import count_flops
from xnas_tf.spaces.cells import (
    EDGES,
    OPERATIONS,
    format_genotype,
    live_edges,
    network_of,
    parse_genotype,
    plain,
)
from xnas_tf.spaces.nas_bench_201 import NASBench201
from xnas_tf.storage.database import Database
from xnas_tf.storage.run_directory import DATABASE, model_path, open_database


def networks_of(cells):
    """Text of each network -> its plain genotype, in the order of the cells."""
    networks: dict[str, str] = {}
    for cell in map(parse_genotype, cells):
        if live_edges(cell):
            networks.setdefault(network_of(cell), format_genotype(plain(cell)))
    return networks


GENOTYPES = list(networks_of(CELLS[::20]).values())
"""Some networks; all of them take long to find."""


@functools.cache
def all_networks():
    """Text of each network of the space -> its plain genotype."""
    return networks_of(CELLS)


COLUMNS = ("arch", "seed", "error")
FACTS = {"class_names": list("abc"), "image_shape": [8, 8, 1]}


def make_run(path, seed, genotypes, error=lambda genotype: 0.25, overrides=(), facts=None):
    """A run as a search leaves it, without its trainings."""
    config = load_config(overrides=["training.epochs=2", f"search.seed={seed}", *overrides])
    with closing(open_database(path, config)) as database, database.transaction():
        for number, genotype in enumerate(genotypes, start=1):
            epoch = {"accuracy": 0.5, "loss": 1.5, "val_accuracy": 0.4, "val_loss": 1.75}
            last = {"accuracy": 0.75, "loss": 1.25, "val_accuracy": 0.7, "val_loss": 1.0}
            database.save(
                Candidate(
                    number,
                    genotype,
                    parse_genotype(genotype),
                    state="done",
                    epochs=2,
                    finish_order=number,
                    objectives={"error": error(genotype), "introspectability": seed + 0.5},
                    metrics={
                        **last,
                        "parameters": 30802,
                        "epoch_0/introspectability": 0.125,
                        "introspectability/activations": 0.1,
                        "introspectability/activations/stem_conv": 0.2,
                        "introspectability/activations/standard_error": 0.01,
                        "introspectability/plain/activations": 0.3,
                        "disentanglement/kept": 0.75,
                        "disentanglement/stem_norm": 0.5,
                        "test_accuracy": 0.875,
                        "test_error": 0.125,
                    },
                    history=[epoch, last],
                    seconds={"train": 1.0, "score": 0.5, "wait": 9.0},
                )
            )
        database.set_fact("dataset", facts)
        failed = Candidate(10_000, CELLS[9], {}, state="failed", finish_order=10_000)
        database.save(failed)
    return path


EXPECTED = {
    "error": 0.25,
    "train_error": 0.25,
    "train_loss": 1.25,
    "val_loss": 1.0,
    "epoch_1/error": 0.6,
    "epoch_1/train_error": 0.5,
    "epoch_1/val_loss": 1.75,
    "test_error": 0.125,
    "parameters": 30802,
    "epoch_0/introspectability": 0.125,
    "introspectability/activations": 0.1,
    "introspectability/activations/standard_error": 0.01,
    "introspectability/plain/activations": 0.3,
    "disentanglement/kept": 0.75,
    "seconds": 1.5,
}


@pytest.fixture
def runs(tmp_path):
    return [make_run(tmp_path / f"run-{seed}", seed, GENOTYPES[:30]) for seed in (0, 1)]


def test_values_are_means_over_seeds(runs, tmp_path):
    out = tmp_path / "t.csv.gz"
    assert write_table(runs, out) == 60
    table = read_table(out)
    assert sorted(table.genotypes) == sorted(GENOTYPES[:30])
    for name, value in EXPECTED.items():
        assert table.column(name) == pytest.approx(np.full(30, value)), name
    assert table.column("introspectability") == pytest.approx(np.ones(30))
    unwanted = {"introspectability/activations/stem_conv", "disentanglement/stem_norm"}
    unwanted |= {"val_accuracy", "test_accuracy"}
    assert not unwanted & set(table.columns)


def test_a_table_is_extended_and_the_same_whatever_the_order(runs, tmp_path):
    first, second, whole = (tmp_path / f"{name}.csv.gz" for name in ("a", "b", "c"))
    write_table(runs[:1], first)
    write_table([runs[1], first], second)
    write_table(runs, whole)
    # The columns are in the order in which they were found.
    assert sorted(gzip.open(second)) == sorted(gzip.open(whole))
    assert write_table([first, *runs], first) == 60
    assert first.read_bytes() == whole.read_bytes()


def test_different_values_for_the_same_training_are_an_error(runs, tmp_path):
    other = make_run(tmp_path / "other", 1, GENOTYPES[:5], error=lambda genotype: 0.5)
    with pytest.raises(InputError, match=r"with seed 1 has error 0.5, but .* has 0.25"):
        write_table([*runs, other], tmp_path / "t.csv.gz")
    assert not (tmp_path / "t.csv.gz").exists()


def test_what_is_no_run_or_table_is_named(tmp_path):
    (tmp_path / "text.csv.gz").write_text("arch,seed")
    write(tmp_path / "other.csv.gz", [], ("arch", "accuracy"))
    for name, message in [
        ("text.csv.gz", "text.csv.gz is neither a run nor a table"),
        ("other.csv.gz", "there are no columns arch and seed"),
        ("missing", "missing is neither a run nor a table"),
    ]:
        with pytest.raises(InputError, match=message):
            write_table([tmp_path / name], tmp_path / "t.csv.gz")
    empty = make_run(tmp_path / "empty", 0, [])
    with pytest.raises(InputError, match="no candidate has been trained yet"):
        write_table([empty], tmp_path / "t.csv.gz")


def test_a_row_stands_for_all_cells_of_its_network(tmp_path):
    rng, networks = np.random.default_rng(0), all_networks()
    errors = {text: round(rng.uniform(0.01, 0.4), 4) for text in networks.values()}
    run = make_run(tmp_path / "run", 0, networks.values(), error=errors.get)
    write_table([run], tmp_path / "t.csv.gz")
    table = read_table(tmp_path / "t.csv.gz")
    rows = table.rows
    assert len(table.genotypes) == 5424 and len(rows) == 15625 - 341
    assert errors[table.genotypes[0]] == table.column("error")[0]
    for genotype in rng.choice(CELLS, 200):
        cell = parse_genotype(genotype)
        if live_edges(cell):
            own = networks[network_of(cell)]
            assert table.genotypes[rows[genotype]] == own
        else:
            assert genotype not in rows
    problem = make_problem(table, ["error", "max:epoch_0/introspectability"], reference=[1, 0])
    assert problem.costs[:, 0].tolist() == table.column("error").tolist()
    shares = run_search(problem, "nsga2", 0, 60, ())
    assert len(shares) == 60 and 0 < shares[-1] <= 1


def test_command_and_names(runs, tmp_path, monkeypatch):
    out = tmp_path / "mine.csv.gz"
    result = CliRunner().invoke(main, ["benchmark", "table", *map(str, runs), "--out", str(out)])
    assert result.exit_code == 0, result.output
    monkeypatch.setattr(tables, "FOLDER", tmp_path)
    monkeypatch.setattr(tables, "TABLES", ("mine",))
    assert len(read_table(Path("mine")).genotypes) == 30
    with pytest.raises(InputError, match="'min'.*mine"):
        read_table(Path("min"))
    given = ["--objectives", "error,epoch_0/introspectability", "--reference", "1,1", "--seeds=1"]
    given += ["--trainings=5", "--algorithm=random", "--format=json"]
    result = CliRunner().invoke(main, ["benchmark", "search", "--table", "mine", *given])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)


@pytest.mark.parametrize("name", tables.TABLES)
def test_a_built_in_table_has_every_network_with_each_of_its_seeds(name):
    rows = pd.read_csv(tables.FOLDER / f"{name}.csv.gz")
    networks = {network_of(parse_genotype(genotype)) for genotype in rows.arch.unique()}
    assert networks == set(all_networks())
    assert (rows.groupby("seed").arch.nunique() == len(networks)).all()
    assert len(rows) == len(networks) * rows.seed.nunique()
    assert np.isfinite(rows.select_dtypes("number")).all(axis=None)
    assert load_config(f"table-{name}").search.algorithm == "all"
    given = ["--objectives", "error,max:introspectability", "--seeds=1", "--trainings=5"]
    given += ["--algorithm=random", "--format=json"]
    result = CliRunner().invoke(main, ["benchmark", "search", "--table", name, *given])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rows"] == 15625 - 341


def test_runs_with_other_settings_are_refused(runs, tmp_path):
    other = make_run(tmp_path / "other", 2, GENOTYPES[:3], overrides=["training.batch_size=2"])
    with pytest.raises(
        InputError, match=r"must have the same settings:\n .*training.batch_size: 2"
    ):
        write_table([*runs, other], tmp_path / "t.csv.gz")


def test_trainings_in_rungs_are_other_settings(runs, tmp_path):
    words = ["search.fidelity.epochs=[1, 2]"]
    other = make_run(tmp_path / "other", 2, GENOTYPES[:3], overrides=words)
    with pytest.raises(InputError, match=r"rungs: \[1, 2\] in .*, in .* \[2\]"):
        write_table([*runs, other], tmp_path / "t.csv.gz")


def test_reused_results_are_no_trainings_with_another_seed(runs, tmp_path):
    with closing(Database(runs[1] / DATABASE, create=True)) as database:
        first, *_ = database.candidates()
        database.save(replace(first, reused_from=f"candidate 1 of {runs[0]}"))
    assert write_table(runs, tmp_path / "t.csv.gz") == 59
    rows = pd.read_csv(tmp_path / "t.csv.gz")
    assert rows[rows.arch == GENOTYPES[0]].seed.tolist() == [0]


def test_an_earlier_table_with_fewer_columns_is_completed(runs, tmp_path):
    thin, whole = tmp_path / "thin.csv.gz", tmp_path / "whole.csv.gz"
    write(thin, [(GENOTYPES[0], 0, 0.25), (GENOTYPES[0], 7, 0.5)], COLUMNS)
    assert write_table([thin, *runs], whole) == 61
    table = read_table(whole)
    assert "test_error" in table.columns and len(table.column("test_error")) == 30


@pytest.mark.parametrize(
    ("name", "message"),
    [("t.csv", r"allowed: a name that ends in .csv.gz"), ("no/t.csv.gz", "there is no folder")],
)
def test_files_that_cannot_be_written_are_named_first(runs, tmp_path, name, message):
    given = ["benchmark", "table", str(runs[0]), "--out", str(tmp_path / name)]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == 2 and re.search(message, result.stderr), result.output


@pytest.mark.parametrize(
    ("row", "message"),
    [("bad,0,0.5", "line 2: genotype 'bad'"), (f"{GENOTYPES[0]},0", "line 2: .*3 values")],
)
def test_bad_rows_are_named(tmp_path, row, message):
    bad = write(tmp_path / "bad.csv.gz", [row.split(",")], COLUMNS)
    with pytest.raises(InputError, match=message):
        write_table([bad], tmp_path / "t.csv.gz")


def test_rows_of_the_same_network_are_averaged(tmp_path):
    """Two runs may have found two cells with the same network."""
    empty = dict.fromkeys(EDGES, "none")
    cells = [
        format_genotype({**empty, edge: "nor_conv_3x3", more: "skip_connect"})
        for edge, more in (("edge_0_1", "edge_1_3"), ("edge_0_2", "edge_2_3"))
    ]
    better = format_genotype({**empty, "edge_0_3": "nor_conv_1x1"})
    rows = [(cells[0], 0, 0.1, 9), (cells[1], 1, 0.3, 9), (better, 0, 0.15, 8)]
    table = read_table(write(tmp_path / "t.csv.gz", rows, (*COLUMNS, "loss")))
    assert len(table.genotypes) == 2 and table.rows[cells[0]] == table.rows[cells[1]] == 0
    problem = make_problem(table, ["error", "loss"], reference=[1, 10])
    assert problem.costs.tolist() == [[0.2, 9], [0.15, 8]]
    assert run_search(problem, "nsga2", 0, 9, [])[-1] == 1


def test_a_training_in_two_rows_is_an_error(tmp_path):
    rows = [(GENOTYPES[0], 0, 0.5), (GENOTYPES[0], 0, 0.6)]
    with pytest.raises(InputError, match="line 3: .* with seed 0 is already in line 2"):
        read_table(write(tmp_path / "twice.csv.gz", rows, COLUMNS))


def test_published_settings_are_not_assumed_for_other_tables(tmp_path):
    rows = [(g, 0, 0.1 + n / 100, 0.4 - n / 50, 1000 + n) for n, g in enumerate(GENOTYPES[:9])]
    header = (*COLUMNS, "test_error", "parameters")
    problem = make_problem(read_table(write(tmp_path / "t.csv.gz", rows, header)))
    assert problem.costs[:, 1].tolist() == list(range(1000, 1009))
    assert problem.point == pytest.approx([0.18, 1008])
    less = write(tmp_path / "less.csv.gz", [(GENOTYPES[0], 0, 0.5)], COLUMNS)
    with pytest.raises(InputError, match="has no 'parameters'"):
        make_problem(read_table(less))


def test_runs_are_only_read(runs, tmp_path):
    write_table(runs, tmp_path / "t.csv.gz")
    assert not model_path(runs[0], 1).exists()


PUBLISHED = {
    0: "avg_pool_3x3, nor_conv_1x1, skip_connect, nor_conv_1x1, skip_connect, skip_connect",
    1: "nor_conv_3x3, nor_conv_3x3, avg_pool_3x3, skip_connect, nor_conv_3x3, skip_connect",
    5: "nor_conv_1x1, skip_connect, nor_conv_1x1, nor_conv_3x3, none, avg_pool_3x3",
    9: "avg_pool_3x3, none, none, skip_connect, none, nor_conv_3x3",
    123: "avg_pool_3x3, avg_pool_3x3, nor_conv_1x1, none, avg_pool_3x3, nor_conv_3x3",
}
"""Published indices: 0, 9 and 123 in the authors' script, 1 and 5 in files of other projects."""


def test_the_published_order():
    order = [format_genotype(cell) for cell in published_cells()]
    assert sorted(order) == sorted(CELLS)
    for index, operations in PUBLISHED.items():
        cell = dict(zip(EDGES, operations.split(", "), strict=True))
        assert order[index] == format_genotype(cell)


def test_rows_have_the_indices_of_all_cells_of_their_network(runs, tmp_path):
    write_table(runs, tmp_path / "t.csv.gz")
    table = read_table(tmp_path / "t.csv.gz")
    order = [format_genotype(cell) for cell in published_cells()]
    cells = {genotype: [] for genotype in table.genotypes}
    for cell, row in table.rows.items():
        cells[table.genotypes[row]].append(cell)
    for genotype, text in zip(table.genotypes, table.columns["nas_bench_201"], strict=True):
        indices = [int(each) for each in text.split(" ")]
        assert indices == sorted(indices)
        assert sorted(order[index] for index in indices) == sorted(cells[genotype])
    assert "flops" not in table.columns  # the shape of the images is not known


def only(operation):
    return format_genotype(dict.fromkeys(EDGES, "none") | {"edge_0_3": operation})


ALL_OPERATIONS = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|"
    "+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"
)
ONE = {name: only(name) for name in OPERATIONS if name != "none"}


def test_flops_are_those_of_the_objective(tmp_path, monkeypatch):
    """An operation takes two per weight and output, or one per pixel of a pool."""
    small = ["space={name: nas_bench_201, channels: 2}"]
    given = [ALL_OPERATIONS, *ONE.values()]
    foreign = next(genotype for genotype in GENOTYPES if genotype not in given)
    run = make_run(tmp_path / "run", 0, given, facts=FACTS, overrides=small)
    earlier = tmp_path / "earlier.csv.gz"
    write(earlier, [(foreign, 0, 0.25)], COLUMNS)
    counted = []
    count = lambda model: counted.append(count_flops(model)) or counted[-1]  # noqa: E731
    monkeypatch.setattr(cell_flops, "count_flops", count)
    write_table([earlier, run], tmp_path / "t.csv.gz")
    again = iter(counted)  # of the same networks
    monkeypatch.setattr(cell_flops, "count_flops", lambda _: next(again))
    write_table([tmp_path / "t.csv.gz", run], tmp_path / "t.csv.gz")
    with gzip.open(tmp_path / "t.csv.gz", "rt") as file:
        cells = {row["arch"]: row["flops"] for row in csv.DictReader(file)}
    assert cells.pop(foreign) == ""  # the skeleton of the earlier table is not known
    flops = {genotype: int(cell) for genotype, cell in cells.items()}
    assert flops.keys() == set(given)
    hyperparameters = HyperParameters()
    hyperparameters.values.update(parse_genotype(ALL_OPERATIONS))
    model = NASBench201((8, 8, 1), 3, 2, 1).build(hyperparameters)
    assert flops[ALL_OPERATIONS] == count_flops(model)

    shapes = [(64, 2), (16, 4), (4, 8)]  # pixels, channels
    kernels = flops[ONE["nor_conv_3x3"]] - flops[ONE["nor_conv_1x1"]]
    assert kernels == sum(2 * 8 * channels**2 * pixels for pixels, channels in shapes)
    pool = flops[ONE["avg_pool_3x3"]] - flops[ONE["skip_connect"]]
    assert pool == sum(9 * channels * pixels for pixels, channels in shapes)


def test_flops_of_another_skeleton_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(cell_flops, "count_flops", lambda model: 1000)
    run = make_run(tmp_path / "run", 0, GENOTYPES[:2], facts=FACTS)
    earlier = write(tmp_path / "a.csv.gz", [(GENOTYPES[2], 0, 1)], ("arch", "seed", "flops"))
    with pytest.raises(InputError, match=r"has flops 1 in a source; computed: 1000\. Were all"):
        write_table([earlier, run], tmp_path / "t.csv.gz")


def test_what_all_seeds_share_is_not_averaged(tmp_path):
    known = (GENOTYPES[0], "7"), (GENOTYPES[1], "3 12")
    rows = [(genotype, n, n / 10, shared) for genotype, shared in known for n in (1, 2, 4)]
    table = read_table(write(tmp_path / "t.csv.gz", rows, (*COLUMNS, "nas_bench_201")))
    assert table.columns["nas_bench_201"] == ["7", "3 12"]
    assert table.column("error") == pytest.approx([0.7 / 3] * 2)


@pytest.mark.parametrize("count", [1, 7, 30, 97])
def test_a_sample_has_one_network_of_each_stratum(count):
    rng = np.random.default_rng(count)
    error, size = rng.integers(0, 40, 97) / 40, rng.integers(1, 9, 97)
    chosen = sample(error, size, count, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == count
    assert (chosen == sample(error, size, count, np.random.default_rng(0))).all()
    groups = max(1, round(count**0.5))
    # A group of errors has as many networks in the sample as its share of the table.
    ranks = np.argsort(np.argsort(error, kind="stable"))[chosen]
    drawn = np.histogram(ranks, bins=groups, range=(0, 97))[0]
    assert abs(drawn - count / groups).max() <= 1 + 1e-9
    assert abs(error[chosen].mean() - error.mean()) <= 1.2 / groups


def test_all_networks_are_a_sample():
    error, size = np.arange(12.0), np.ones(12)
    assert sorted(sample(error, size, 12, np.random.default_rng(0))) == list(range(12))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "t.csv"),
        (f"arch,error\n{GENOTYPES[0]},0.1\n", "no column 'parameters'"),
        ("error,parameters\n0.1,5\n", "no column 'arch'"),
    ],
)
def test_a_sample_of_what_is_no_table_is_refused(text, message, tmp_path, monkeypatch, capsys):
    table = tmp_path / "t.csv"
    if text:
        table.write_text(text)
    out = tmp_path / "networks.txt"
    monkeypatch.setattr("sys.argv", ["table_sample.py", str(table), "--out", str(out)])
    with pytest.raises(SystemExit, match="2"):
        table_sample.main()
    error = capsys.readouterr().err
    assert message in error and "--table" not in error and not out.exists()
