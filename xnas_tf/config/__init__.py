"""The configuration: typed models, reading and writing YAML, and overrides."""

from xnas_tf.config.loading import (
    default_note,
    differences,
    differing_keys,
    dump_config,
    find_config,
    flattened,
    load_config,
    load_stored_config,
    packaged_configs,
    validate_config,
)
from xnas_tf.config.models import Config
from xnas_tf.utils.constraints import Constraint

__all__ = [
    "Config",
    "Constraint",
    "validate_config",
    "differences",
    "differing_keys",
    "dump_config",
    "default_note",
    "find_config",
    "flattened",
    "load_config",
    "load_stored_config",
    "packaged_configs",
]
