"""Starts searches in one process, on the ranks of a Horovod job, or on a Ray cluster."""
