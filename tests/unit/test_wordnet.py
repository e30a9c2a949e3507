"""Path similarities of classes in WordNet: by hand, on a small one of our own, and as nltk's."""

import os
import random
import re
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.execution.callbacks import Callback
from xnas_tf.execution.preparation import prepare
from xnas_tf.execution.session import opened_session
from xnas_tf.objectives import wordnet as reading
from xnas_tf.objectives.introspectability import Introspectability
from xnas_tf.objectives.similarity import class_weights, similarity_notes
from xnas_tf.objectives.wordnet import PACKAGED, WordNet

POINTERS = {
    "entity": "",
    "animal": "@ entity",
    "dog": "@ animal ~ puppy #m pack",
    "cat": "@ animal",
    "pet": "@ entity ~ puppy",
    "puppy": "@ dog @ pet",
    "Rex": "@i dog",
    "person": "@ entity",
    "tiger-person": "@ person",
    "tiger-cat": "@ cat",
    "pack": "@ entity",
}
"""The synsets of a small WordNet, with their pointers."""
SENSES = {
    "dog": ["dog"],
    "cat": ["cat"],
    "tiger": ["tiger-person", "tiger-cat"],
    "fire_truck": ["pack"],
    **{str(digit): ["pet", "cat"] for digit in range(10)},
}


def write_wordnet(folder, version="3.0"):
    """Write a small WordNet as wndb(5WN) describes it; return the ids."""

    def line(name, offsets):
        pairs = re.findall(r"(\S+) (\S+)", POINTERS[name])
        pointers = "".join(f"{sign} {offsets[to]:08d} n 0000 " for sign, to in pairs)
        gloss = f"the {name}; not a @ {offsets['entity']:08d} n 0000 "
        return f"{offsets[name]:08d} 05 n 01 {name} 0 {len(pairs):03d} {pointers}| {gloss} \n"

    header = f"  1 This software\n  2 WordNet {version} Copyright 2006 by Princeton University.  \n"
    offsets, end = dict.fromkeys(POINTERS, 0), len(header)
    for name in POINTERS:
        offsets[name], end = end, end + len(line(name, offsets))
    folder.mkdir(exist_ok=True)
    (folder / "data.noun").write_text(header + "".join(line(n, offsets) for n in POINTERS))
    index = [
        f"{noun} n {len(of)} 2 @ ~ {len(of)} 1 {' '.join(f'{offsets[s]:08d}' for s in of)}  \n"
        for noun, of in SENSES.items()
    ]
    (folder / "index.noun").write_text(header + "".join(index))
    return {name: f"n{offset:08d}" for name, offset in offsets.items()}


@pytest.fixture(autouse=True)
def _forget():
    class_weights.cache_clear()
    yield
    class_weights.cache_clear()


@pytest.fixture
def ids(tmp_path, monkeypatch):
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path / "dict"))
    return write_wordnet(tmp_path / "dict")


@pytest.fixture
def nothing_installed(tmp_path, monkeypatch):
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    monkeypatch.setattr(reading, "DEBIAN_FOLDER", tmp_path)
    monkeypatch.setitem(sys.modules, "nltk.data", None)


@pytest.mark.parametrize(
    ("a", "b", "length"),
    [
        ("dog", "dog", 0),
        ("puppy", "dog", 1),
        ("dog", "cat", 2),
        ("Rex", "dog", 1),
        ("tiger-cat", "Rex", 4),
        ("puppy", "entity", 2),  # the shorter of two ways up
        ("puppy", "person", 3),
        ("dog", "pet", 3),  # not 2 by way of the puppy, nor by a gloss
    ],
)
def test_the_path_goes_by_the_nearest_common_hypernym(ids, a, b, length):
    weights = class_weights("wordnet", (ids[a], ids[b]))
    np.testing.assert_array_equal(weights, [[1, 1 / (1 + length)], [1 / (1 + length), 1]])


def test_a_name_is_its_first_noun_sense_and_a_note_says_so(ids):
    by_name = class_weights("wordnet", ("Dog", "tiger", "fire truck", ids["Rex"]))
    exact = [ids[name] for name in ("dog", "tiger-person", "pack", "Rex")]
    np.testing.assert_array_equal(by_name, class_weights("wordnet", tuple(exact)))
    (note,) = similarity_notes("wordnet", ("dog", "tiger"))
    assert f"tiger ({ids['tiger-person']}: the tiger-person;" in note and "dog" not in note
    assert similarity_notes("wordnet", ("dog", ids["tiger-cat"])) == []
    assert similarity_notes(None, ("dog", "tiger")) == []


def test_a_search_shows_the_note_once(tmp_path, ids):
    class Messages(Callback):
        def on_message(self, text):
            said.append(text)

    said = []
    config = load_config(
        overrides=[
            "dataset=digits",
            "space={name: nas_bench_201, channels: 2, cells_per_stack: 1}",
            "objectives=[error, {name: introspectability, similarity: wordnet}]",
        ]
    )
    _, data, space = prepare(config, SingleProcess(), 1)
    with opened_session(
        tmp_path / "run", config, data, space, make_callbacks=lambda _: [Messages()]
    ):
        pass
    (note,) = (text for text in said if "similarity" in text)
    assert note.startswith("introspectability: similarity: wordnet: ") and "the pet" in note


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("dog", "tigr"), r"no noun 'tigr' \(did you mean 'tiger'\?\); allowed: nouns, or ids"),
        (("dog", "n00000003", "n99999999"), "no noun 'n00000003', 'n99999999'; allowed"),
        (("dog", *(c * 3 for c in "abcdefg")), "'eee' and 2 more; allowed"),
        (("dog", ""), "no noun ''"),
    ],
)
def test_an_unknown_class_is_named(ids, names, problem):
    with pytest.raises(InputError, match="introspectability: similarity: wordnet: .*" + problem):
        Introspectability(similarity="wordnet").check(names)


def test_another_version_or_none_is_a_clear_error(tmp_path, monkeypatch, nothing_installed):
    with pytest.raises(InputError, match=r"not found; install.*wordnet-base.*nltk.*WNSEARCHDIR"):
        class_weights("wordnet", ("cat", "dog"))
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path / "dict"))
    with pytest.raises(InputError, match=r"WNSEARCHDIR \(.*dict/data.noun"):
        class_weights("wordnet", ("cat", "dog"))
    write_wordnet(tmp_path / "dict", version="3.1")
    with pytest.raises(InputError, match="not version 3.0"):
        class_weights("wordnet", ("cat", "dog"))


def test_the_data_of_nltk_is_found(tmp_path, monkeypatch, nothing_installed):
    write_wordnet(tmp_path / "dict")
    data = types.ModuleType("nltk.data")
    data.find = lambda name: types.SimpleNamespace(
        open=lambda: (tmp_path / "dict" / Path(name).relative_to("corpora/wordnet")).open("rb")
    )
    monkeypatch.setitem(sys.modules, "nltk", types.ModuleType("nltk"))
    monkeypatch.setitem(sys.modules, "nltk.data", data)
    np.testing.assert_array_equal(class_weights("wordnet", ("cat", "dog"))[0], [1, 1 / 3])


def packaged():
    lines = (Path(reading.__file__).parent / PACKAGED).read_text().splitlines()
    ids, names = zip(*(x.split(",")[:2] for x in lines if x[0] != "#"), strict=True)
    return ids, names


def test_the_classes_of_imagenet16_120_need_no_wordnet(nothing_installed):
    ids, names = packaged()
    weights = class_weights("wordnet", names)
    assert weights.shape == (120, 120) and len(set(ids)) == len(set(names)) == 120
    np.testing.assert_array_equal(weights, weights.T)
    np.testing.assert_array_equal(np.diag(weights), 1)
    assert (weights[~np.eye(120, dtype=bool)] < 1).all() and (weights > 0).all()
    np.testing.assert_array_equal(weights, class_weights("wordnet", ids))
    assert similarity_notes("wordnet", names) == []
    # Two foxes have the same hypernym, fox; the tiger is an animal: one of the big cats.
    some = class_weights("wordnet", ("red fox", "tiger", "n02119789", "leopard"))
    assert some[0, 2] == some[1, 3] == 1 / 3
    with pytest.raises(InputError, match="not found"):
        class_weights("wordnet", ("kit_fox", "spoon"))


@pytest.fixture(scope="module")
def installed():
    try:
        return WordNet()
    except InputError:
        pytest.skip("WordNet 3.0 is not installed")


def test_the_packaged_path_lengths_are_those_of_wordnet(installed):
    ids, names = packaged()
    expected = 1 / (1 + installed.path_lengths(list(ids)))
    np.testing.assert_array_equal(class_weights("wordnet", names), expected)
    assert all(each in installed.senses(name) for each, name in zip(ids, names, strict=True))


@pytest.mark.long  # nltk indexes all of WordNet
@pytest.mark.filterwarnings("ignore:The multilingual functions")
def test_path_similarities_are_those_of_nltk(installed, tmp_path, monkeypatch):
    """Of 30 pairs of ImageNet-16-120's classes, and of 30 of all nouns."""
    corpus = pytest.importorskip("nltk.corpus.reader.wordnet")
    database = Path(os.environ.get("WNSEARCHDIR") or reading.DEBIAN_FOLDER)
    if not database.is_dir():
        pytest.skip("nltk needs a folder")
    copied = shutil.copytree(database, tmp_path / "corpora" / "wordnet")
    # Debian's package lacks two files that nltk reads, whose content path lengths don't need.
    (copied / "lexnames").write_text("".join(f"{n:02d}\tx\t1\n" for n in range(45)))
    (copied / "index.sense").write_text("")
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])  # where nltk may read
    nltk = corpus.WordNetCorpusReader(str(copied), None)
    rng = random.Random(0)
    nouns = re.findall(r"^(\d{8}) ", (database / "data.noun").read_text(), re.MULTILINE)
    of_all = [f"n{offset}" for offset in rng.sample(nouns, 60)]
    for chosen in (rng.sample(packaged()[0], 60), of_all):
        for pair in zip(chosen[:30], chosen[30:], strict=True):
            a, b = (nltk.synset_from_pos_and_offset("n", int(each[1:])) for each in pair)
            assert class_weights("wordnet", pair)[0, 1] == a.path_similarity(b)
