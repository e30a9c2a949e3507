"""Objectives: numbers with a direction, by which candidates are compared."""

from xnas_tf.registry import Registry

OBJECTIVES = Registry(
    "objective",
    "xnas_tf.objectives",
    {
        "error": "xnas_tf.objectives.performance:Error",
        "parameters": "xnas_tf.objectives.cost:Parameters",
        "flops": "xnas_tf.objectives.cost:Flops",
        "introspectability": "xnas_tf.objectives.introspectability:Introspectability",
    },
)
