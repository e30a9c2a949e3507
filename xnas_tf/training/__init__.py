"""Trains one Keras model on a data set, on one or several ranks."""
