"""Interpretation of any Keras image classifier: NAD (sub-architectures) and FLINT (attributes)."""
