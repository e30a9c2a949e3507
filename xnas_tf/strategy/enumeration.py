"""Enumeration of a search space small enough to be searched completely."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from xnas_tf.errors import InputError
from xnas_tf.spaces.base import Space
from xnas_tf.spaces.variables import decode
from xnas_tf.strategy.options import SearchOptions

MAX_ENUMERATED = 1_000_000
"""Size of the largest space that is enumerated."""


def enumerate_space(space: Space) -> Iterator[tuple[int, ...]]:
    """Yield the encoded values of each architecture once, in a random order.

    The order is always the same for the same variables, so several runs can each search a part of a
    space. Nothing is yielded for a space of more than ``MAX_ENUMERATED`` architectures.
    """
    if space.size > MAX_ENUMERATED:
        return
    sizes = [int(variable.size) for variable in space.variables]
    for number in np.random.default_rng(0).permutation(int(space.size)).tolist():
        rest, encoded = number, []
        for size in reversed(sizes):
            rest, value = divmod(rest, size)
            encoded.append(value)
        yield tuple(reversed(encoded))


def count_networks(space: Space) -> int:
    """Return the number of different feasible networks in a space of ``MAX_ENUMERATED`` at most."""
    decoded = (decode(space.variables, encoded) for encoded in enumerate_space(space))
    simplified = map(space.simplify, decoded)
    return len({space.identity(v) for v in simplified if not space.infeasible(v)})


def listed_networks(genotypes: Sequence[str], space: Space) -> set[str]:
    """Return the identities of the networks with these genotypes.

    Raises:
        InputError: If a genotype is not one of the space, is infeasible, or has the same network as
            an earlier one.
    """
    identities = _identities(set(genotypes), space) if genotypes else {}
    first: dict[str, int] = {}
    for number, genotype in enumerate(genotypes, start=1):
        if genotype not in identities:
            example = space.genotype(decode(space.variables, next(enumerate_space(space))))
            raise InputError(
                f"search.networks: number {number} is {genotype!r}, which is not a genotype of the "
                f"space; allowed: genotypes such as {example!r}"
            )
        earlier = first.setdefault(identities[genotype], number)
        if earlier != number:
            raise InputError(
                f"search.networks: number {number}, {genotype!r}, has the same network as number "
                f"{earlier}, {genotypes[earlier - 1]!r}; allowed: each network once"
            )
    return set(first)


def _identities(genotypes: Collection[str], space: Space) -> dict[str, str]:
    """Return the networks' identities by genotype, without those that the space lacks."""
    identities: dict[str, str] = {}
    for encoded in enumerate_space(space):
        values = decode(space.variables, encoded)
        simplified = space.simplify(values)
        for genotype in {space.genotype(values), space.genotype(simplified)}:
            if genotype in genotypes and genotype not in identities:
                if reason := space.infeasible(simplified):
                    raise InputError(f"search.networks: {genotype!r} is infeasible: {reason}")
                identities[genotype] = space.identity(simplified)
    return identities


def with_candidates(search: SearchOptions, space: Space) -> SearchOptions:
    """Return the options with the number of candidates that ``algorithm: all`` proposes.

    Raises:
        InputError: If the space is too large to be enumerated, ``networks`` is invalid, or ``skip``
            leaves out all networks.
    """
    if search.algorithm != "all":
        return search
    if space.size > MAX_ENUMERATED:
        raise InputError(
            f"search.algorithm: given all, but the space has {space.size:,.0f} architectures; "
            f"allowed: at most {MAX_ENUMERATED:,}, or another algorithm"
        )
    listed = listed_networks(search.networks, space)
    networks = len(listed) if search.networks else count_networks(space)
    if search.skip >= networks:
        raise InputError(f"search.skip: given {search.skip}; allowed: less than {networks:,}")
    left = networks - search.skip
    wanted = search.candidates if "candidates" in search.model_fields_set else left
    return search.model_copy(update={"candidates": min(wanted, left)})
