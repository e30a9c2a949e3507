"""Trains one Keras model on a data set over ranks."""
