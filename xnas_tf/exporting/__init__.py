"""Export of trained models for use without xnas_tf, with a model card.

Each file is compared with the model after it has been written.
"""
