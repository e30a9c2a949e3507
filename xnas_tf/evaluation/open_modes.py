"""Modes of training steps that the configuration may leave to a trial."""

from __future__ import annotations

from collections.abc import Mapping

from xnas_tf.config.models import Config

MODES = ("mixed_precision", "jit_compile")


def open_modes(config: Config) -> list[str]:
    """The modes, keys of ``training``, that are ``auto``."""
    return [mode for mode in MODES if getattr(config.training, mode) == "auto"]


def with_modes(config: Config, modes: Mapping[str, bool]) -> Config:
    """The configuration with what was chosen in place of ``auto``."""
    chosen = {mode: modes[mode] for mode in open_modes(config) if mode in modes}
    training = config.training.model_copy(update=chosen)
    return config.model_copy(update={"training": training})
