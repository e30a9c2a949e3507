"""Evaluation of one candidate: build, train and score a model, and return a result."""
