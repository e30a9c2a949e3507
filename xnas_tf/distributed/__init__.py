"""Ranks that train candidates together. Without Horovod everything is one process."""

from xnas_tf.distributed.communicator import Communicator, SingleProcess
from xnas_tf.distributed.start import joined, start

__all__ = ["Communicator", "SingleProcess", "joined", "start"]
