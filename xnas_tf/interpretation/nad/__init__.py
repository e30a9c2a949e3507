"""Neural architecture disentanglement: the sub-architecture that each class uses.

Hu et al., *Architecture Disentanglement for Deep Neural Networks*, ICCV 2021,
arXiv 2003.13268. With a network frozen, a mask over the channels of each layer is learned for
each class; the channels that the masks keep are the class's path.
"""

from xnas_tf.interpretation.nad.disentangle import Disentanglement, disentangle

__all__ = ["Disentanglement", "disentangle"]
