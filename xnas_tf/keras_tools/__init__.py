"""Tools that inspect any kind of Keras model and change how it runs."""
