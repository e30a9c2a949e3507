"""Neural architecture disentanglement, which finds the sub-architecture that each class uses.

Hu et al., *Architecture Disentanglement for Deep Neural Networks*, ICCV 2021,
arXiv 2003.13268. The network is frozen, and for each class a mask over the channels of each layer
is learned. The channels that the masks keep are the class's path.
"""

from xnas_tf.interpretation.nad.disentangle import Disentanglement, disentangle

__all__ = ["Disentanglement", "disentangle"]
