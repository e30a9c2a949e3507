"""Exports trained models, with a model card, for use without xnas_tf.

Each file is compared with the model after it is written.
"""
