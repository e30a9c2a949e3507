import keras_tuner
import numpy as np
import pytest

from tests.spaces import small_cells
from xnas_tf.objectives.cost import Parameters
from xnas_tf.spaces.cells import EDGES, parse_genotype
from xnas_tf.spaces.layers import BATCH_NORM_MOMENTUM
from xnas_tf.spaces.nas_bench_201 import NASBench201

PUBLISHED = {"input_shape": (32, 32, 3), "classes": 10, "channels": 16, "cells_per_stack": 5}


def build(cell, **options):
    hp = keras_tuner.HyperParameters()
    hp.values = cell
    return NASBench201(**{"input_shape": (8, 8, 1), "classes": 3, **options}).build(hp)


def parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_published_number_of_parameters():
    model = build(dict.fromkeys(EDGES, "nor_conv_3x3"), **PUBLISHED)
    assert parameters(model) == 1_531_546


def test_batch_norm_momentum_is_the_published_one():
    model = build(dict.fromkeys(EDGES, "nor_conv_1x1"), channels=2, cells_per_stack=1)
    momenta = {layer.momentum for layer in model.layers if hasattr(layer, "momentum")}
    assert momenta == {BATCH_NORM_MOMENTUM} == {0.9}


def test_edges_that_lead_nowhere_cost_nothing():
    live = "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
    dangling = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|none~2|"
    sizes = {
        parameters(build(parse_genotype(g), channels=2, cells_per_stack=1))
        for g in (live, dangling)
    }
    assert len(sizes) == 1


def test_odd_sizes_fit_through_the_residual_blocks():
    model = build(dict.fromkeys(EDGES, "avg_pool_3x3"), input_shape=(7, 9, 1), channels=2)
    assert model.output_shape == (None, 3)


def test_cell_without_a_path_is_infeasible():
    space = small_cells()
    cell = dict.fromkeys(EDGES, "none")
    assert "no path" in space.infeasible(cell)
    with pytest.raises(ValueError, match="no path"):
        space.build(cell)
    assert space.size == 15_625


def test_only_trainable_parameters_count():
    model = build(dict.fromkeys(EDGES, "skip_connect"), channels=2, cells_per_stack=1)

    class Subject:
        pass

    Subject.model = model
    assert Parameters().score(Subject).value == parameters(model) < model.count_params()


def test_the_parameters_of_tables_are_those_of_networks_without_dead_edges():
    from xnas_tf.benchmark.problem import parameters as millions

    genotype = "|nor_conv_1x1~0|+|skip_connect~0|nor_conv_3x3~1|+|avg_pool_3x3~0|none~1|none~2|"
    live = genotype.replace("none~2", "nor_conv_1x1~2")
    model = build(parse_genotype(live), **PUBLISHED)
    assert millions(live) == parameters(model) / 1e6
