"""Neural architecture disentanglement (NAD), which finds the sub-architecture used by each class.

Hu et al., *Architecture Disentanglement for Deep Neural Networks*, ICCV 2021,
arXiv 2003.13268. The network is frozen, and a mask over each layer's channels is learned for each
class. The channels kept by a class's masks form the class's path.
"""

from xnas_tf.interpretation.nad.disentangle import Disentanglement, disentangle

__all__ = ["Disentanglement", "disentangle"]
