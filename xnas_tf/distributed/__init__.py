"""Ranks that train one candidate together. Without Horovod everything is one process."""

from xnas_tf.distributed.communicator import Communicator, SingleProcess
from xnas_tf.distributed.start import start

__all__ = ["Communicator", "SingleProcess", "start"]
