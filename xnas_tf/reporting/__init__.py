"""Tables, figures, TensorBoard and HTML reports of runs."""
