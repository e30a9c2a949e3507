"""What an interpreter's answers are worth, as plain numbers (arXiv 2010.09345, section 4).

All is defined: an image that excites no attribute has relevance 0 for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TAUS = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
"""At which the paper measures conciseness."""
TAU = TAUS[-1]
"""At which attributes count as relevant where one number is given."""


def contributions(attributes: np.ndarray, weights: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """α: what each attribute adds to the logit of the class answered.

    Args:
        attributes: Φ, (N, J).
        weights: W, (J, classes).
        answers: The class that g answers, (N,).

    Returns:
        φ_j(x) · w_{j,ŷ}, (N, J).
    """
    return attributes * weights[:, answers].T


def relevances(attributes: np.ndarray, weights: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """r_{j,x} = α_j / max_i |α_i|, in [-1, 1]; 0 where no attribute adds anything.

    The published code divides by the signed maximum, which turns all signs around where no
    attribute speaks for the class.

    Args:
        attributes: Φ, (N, J).
        weights: W, (J, classes).
        answers: The class that g answers, (N,).

    Returns:
        (N, J).
    """
    added = contributions(attributes, weights, answers)
    largest = np.abs(added).max(axis=1, keepdims=True)
    return np.where(largest > 0, added / np.where(largest > 0, largest, 1), 0.0)


def class_relevances(relevance: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """r_{j,c}: the mean of r_{j,x} over the images answered with c.

    Returns:
        (classes, J); NaN in the rows of classes that are never answered.
    """
    found = np.full((classes, relevance.shape[1]), np.nan)
    for number in np.unique(answers):
        found[number] = relevance[answers == number].mean(axis=0)
    return found


def counts(relevance: np.ndarray, tau: float) -> np.ndarray:
    """How many attributes are relevant to each image, r_{j,x} > 1/τ, (N,)."""
    return (relevance > 1 / tau).sum(axis=1)


def conciseness(relevance: np.ndarray, taus: Sequence[float] = TAUS) -> list[float]:
    """CNS(τ): how many attributes are relevant to an image, the mean over the images."""
    return [float(counts(relevance, tau).mean()) for tau in taus]


def fidelity(ranks: np.ndarray, top: int = 1) -> float:
    """The share of images whose answer by f is among the ``top`` of g's.

    Args:
        ranks: The place of f's answer among g's, from 0, (N,).
        top: How many answers of g count.
    """
    return float((ranks < top).mean())


def ranks_in(logits: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """The place of each answer in a row of logits, from 0; of equal logits, the first class
    comes first, as ``argmax`` has it.

    Args:
        logits: (N, classes).
        answers: (N,).
    """
    own = logits[np.arange(len(logits)), answers][:, None]
    before = np.arange(logits.shape[1])[None, :] < answers[:, None]
    return ((logits > own) | ((logits == own) & before)).sum(axis=1)


def strict_conciseness(relevance: np.ndarray, agrees: np.ndarray, tau: float) -> float:
    """CNS(τ) that no interpreter can win by saying nothing.

    An image counts all J attributes where no attribute is relevant, or where g answers
    otherwise than f: its answer is not explained.

    Args:
        relevance: r_{j,x}, (N, J).
        agrees: Whether g answers as f does, (N,).
        tau: τ.
    """
    found = counts(relevance, tau)
    return float(np.where((found > 0) & agrees, found, relevance.shape[1]).mean())
