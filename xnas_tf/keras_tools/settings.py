"""Keras' global settings, which a user's module may change and ``clear_session`` resets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.compat import safe_mode, set_safe_mode


@dataclass(frozen=True)
class KerasSettings:
    """Settings that a module may change on import, such as the dtype policy.

    Keras keeps most of these settings per thread, and ``keras.backend.clear_session`` resets them.
    """

    policy: keras.DTypePolicy
    floatx: str
    epsilon: float
    safe_mode: bool | None  # False after `enable_unsafe_deserialization`; None by default
    flash_attention: bool | None  # None lets Keras decide

    @classmethod
    def current(cls) -> KerasSettings:
        """Return the current thread's settings."""
        return cls(
            keras.config.dtype_policy(),
            keras.config.floatx(),
            keras.config.epsilon(),
            safe_mode(),
            keras.config.is_flash_attention_enabled(),
        )

    @property
    def facts(self) -> dict[str, str | float]:
        """The settings on which results depend, as JSON values."""
        return {"policy": self.policy.name, "floatx": self.floatx, "epsilon": self.epsilon}

    def apply(self) -> None:
        """Apply these settings to the current thread."""
        keras.config.set_floatx(self.floatx)
        keras.config.set_epsilon(self.epsilon)
        keras.config.set_dtype_policy(self.policy)
        set_safe_mode(self.safe_mode)
        if self.flash_attention is False:
            keras.config.disable_flash_attention()
        else:  # Keras decides
            keras.config.enable_flash_attention()


def clear_session() -> None:
    """Free this process's models as Keras does, but without resetting Keras' settings."""
    settings = KerasSettings.current()
    keras.backend.clear_session()
    settings.apply()


@contextmanager
def kept_settings() -> Iterator[None]:
    """Restore the settings when the context ends, since a user's ``build`` may change them."""
    settings = KerasSettings.current()
    try:
        yield
    finally:
        settings.apply()


@contextmanager
def float32_layers() -> Iterator[None]:
    """Create float32 layers inside the context, whatever policy the user has set."""
    with kept_settings():
        keras.config.set_dtype_policy("float32")
        yield


def check_data_format() -> None:
    """Raise an ``InputError`` unless new layers expect channels last, as in all data sets."""
    if keras.config.image_data_format() != "channels_last":
        raise InputError(
            "Keras' image_data_format is 'channels_first', but images are (height, width, "
            "channels): remove keras.config.set_image_data_format from the HyperModel's module, "
            "or set it to 'channels_last' in keras.json"
        )
