"""What we need to know of any Keras model, and what we change in it while it runs."""
