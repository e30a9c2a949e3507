"""One candidate from hyperparameters to objective values."""
