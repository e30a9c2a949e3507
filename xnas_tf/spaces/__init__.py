"""Search spaces: keras-tuner HyperModels with their variables, genotypes and Keras models."""

from xnas_tf.registry import Registry

SPACES = Registry(
    "search space",
    "xnas_tf.spaces",
    {
        "nas_bench_201": "xnas_tf.spaces.options:NASBench201Options",
        "vgg_like": "xnas_tf.spaces.options:VGGLikeOptions",
        "hypermodel": "xnas_tf.spaces.options:HyperModelOptions",
    },
)
