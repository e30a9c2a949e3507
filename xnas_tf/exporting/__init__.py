"""Export of trained models for use without xnas_tf, with a model card.

After each file is written, it is compared with the model.
"""
