"""Metrics of an interpreter, computed with NumPy (arXiv 2010.09345, section 4).

All values are defined: an image that activates no attribute has relevance 0 for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TAUS = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
"""Thresholds 1/τ at which the paper measures conciseness."""
TAU = TAUS[-1]
"""The one used where a single value is reported."""


def contributions(attributes: np.ndarray, weights: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Compute α, the contribution of each attribute to the logit of a class.

    Args:
        attributes: Φ, (N, J).
        weights: W, (J, classes).
        answers: The class predicted for each image, (N,).

    Returns:
        φ_j(x) · w_{j,ŷ}, (N, J).
    """
    return attributes * weights[:, answers].T


def relevances(attributes: np.ndarray, weights: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Compute the relevance r_{j,x} = α_j / max_i |α_i|; 0 where all contributions are 0.

    The published code divides by the signed maximum, which reverses all signs where no
    contribution is positive.

    Args:
        attributes: Φ, (N, J).
        weights: W, (J, classes).
        answers: The class predicted by g, (N,).

    Returns:
        (N, J), in [-1, 1].
    """
    alpha = contributions(attributes, weights, answers)
    largest = np.abs(alpha).max(axis=1, keepdims=True)
    return np.where(largest > 0, alpha / np.where(largest > 0, largest, 1), 0.0)


def class_relevances(relevance: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Compute r_{j,c}, the mean of r_{j,x} over the images predicted as class c.

    Args:
        relevance: r_{j,x}, (N, J).
        answers: The class predicted by g, (N,).
        classes: The number of classes.

    Returns:
        (classes, J); NaN in the rows of classes that are never predicted.
    """
    means = np.full((classes, relevance.shape[1]), np.nan)
    for number in np.unique(answers):
        means[number] = relevance[answers == number].mean(axis=0)
    return means


def counts(relevance: np.ndarray, tau: float) -> np.ndarray:
    """Count the attributes relevant to each image, r_{j,x} > 1/τ, (N,)."""
    return (relevance > 1 / tau).sum(axis=1)


def conciseness(relevance: np.ndarray, taus: Sequence[float] = TAUS) -> list[float]:
    """Compute CNS(τ), the mean number of attributes relevant to an image, for each τ."""
    return [float(counts(relevance, tau).mean()) for tau in taus]


def fidelity(ranks: np.ndarray, top: int = 1) -> float:
    """Compute the share of images whose class by f is among the ``top`` classes of g.

    Args:
        ranks: The rank of f's class in g's logits, from 0, (N,).
        top: How many classes of g count.
    """
    return float((ranks < top).mean())


def ranks_in(logits: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Compute the rank of a class in each row of logits, from 0.

    Of equal logits the first class comes first, as in ``argmax``.

    Args:
        logits: (N, classes).
        answers: The class of each row, (N,).
    """
    own = logits[np.arange(len(logits)), answers][:, None]
    before = np.arange(logits.shape[1])[None, :] < answers[:, None]
    return ((logits > own) | ((logits == own) & before)).sum(axis=1)


def strict_conciseness(relevance: np.ndarray, agrees: np.ndarray, tau: float) -> float:
    """Compute a CNS(τ) in which unexplained images are penalised.

    An image counts all J attributes where none is relevant, or where g predicts another class
    than f, as its prediction is not explained. So attributes that are always 0 score worst.

    Args:
        relevance: r_{j,x}, (N, J).
        agrees: Whether f and g predict the same class, (N,).
        tau: τ.
    """
    relevant = counts(relevance, tau)
    return float(np.where((relevant > 0) & agrees, relevant, relevance.shape[1]).mean())
