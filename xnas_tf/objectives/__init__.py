"""Objectives: values to minimise or maximise, by which candidates are compared."""

from xnas_tf.registry import Registry

OBJECTIVES = Registry(
    "objective",
    "xnas_tf.objectives",
    {
        "error": "xnas_tf.objectives.performance:Error",
        "calibration_error": "xnas_tf.objectives.performance:CalibrationError",
        "metric:": "xnas_tf.objectives.performance:Metric",
        "parameters": "xnas_tf.objectives.cost:Parameters",
        "flops": "xnas_tf.objectives.cost:Flops",
        "latency": "xnas_tf.objectives.latency:Latency",
        "synflow": "xnas_tf.objectives.zero_cost:Synflow",
        "jacobian_covariance": "xnas_tf.objectives.zero_cost:JacobianCovariance",
        "introspectability": "xnas_tf.objectives.introspectability:Introspectability",
        "disentanglement": "xnas_tf.objectives.disentanglement:DisentanglementObjective",
        "fidelity": "xnas_tf.objectives.interpretation:Fidelity",
        "conciseness": "xnas_tf.objectives.interpretation:Conciseness",
        "completeness_error": "xnas_tf.objectives.attribution_quality:CompletenessError",
        "deletion": "xnas_tf.objectives.attribution_quality:Deletion",
        "insertion": "xnas_tf.objectives.attribution_quality:Insertion",
        "sensitivity_n": "xnas_tf.objectives.attribution_quality:SensitivityN",
        "infidelity": "xnas_tf.objectives.attribution_quality:Infidelity",
        "max_sensitivity": "xnas_tf.objectives.attribution_quality:MaxSensitivity",
        "randomization": "xnas_tf.objectives.attribution_quality:Randomization",
        "sparseness": "xnas_tf.objectives.attribution_quality:Sparseness",
        "consistency": "xnas_tf.objectives.consistency:Consistency",
        "mask_mass": "xnas_tf.objectives.localization:MaskMass",
        "planted_bug": "xnas_tf.objectives.planted_bug:PlantedBug",
        "repair": "xnas_tf.objectives.repair:Repair",
        "pointing_game": "xnas_tf.objectives.localization:PointingGame",
    },
)
