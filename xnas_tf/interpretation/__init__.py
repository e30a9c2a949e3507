"""Interprets Keras image classifiers with NAD (sub-architectures) and FLINT (attributes)."""
