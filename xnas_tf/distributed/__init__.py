"""Data-parallel ranks. Without Horovod, everything runs in a single process."""

from xnas_tf.distributed.communicator import Communicator, SingleProcess
from xnas_tf.distributed.start import joined, start

__all__ = ["Communicator", "SingleProcess", "joined", "start"]
