"""Ranks that train candidates together, in groups. Without Horovod everything is one process."""

from xnas_tf.distributed.communicator import Communicator, SingleProcess
from xnas_tf.distributed.groups import Group, check_size, divisors, join_group
from xnas_tf.distributed.start import joined, start

__all__ = [
    "Communicator",
    "Group",
    "SingleProcess",
    "check_size",
    "divisors",
    "join_group",
    "joined",
    "start",
]
