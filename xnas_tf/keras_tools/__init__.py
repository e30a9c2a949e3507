"""Tools that inspect Keras models of any kind and change how they run."""
