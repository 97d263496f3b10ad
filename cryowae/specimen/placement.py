"""Molecules in random orientations, without overlap, in random proportions or in equal numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cryowae.specimen.canvas import MOST_LABELS, Array, Canvas
from cryowae.specimen.structures import Structure


def place_molecules(canvas: Canvas, structures: Sequence[Structure]) -> Canvas:
    """Place molecules between what is on the canvas already, as many as `config.molecules` says.

    An occupancy of 0.1 is thin, 0.3 a cytoplasm. Placement is by random trial, largest first; smaller ones then fill
    the gaps. A scene of large molecules alone may stay below its occupancy.

    Parameters
    ----------
    canvas
        Where they are painted.
    structures
        What to place; any voxel size.

    Returns
    -------
    canvas
        The same one or a copy, with the molecules.
    """
    molecules, most = canvas.config.molecules, MOST_LABELS - len(canvas.particles)
    limit = most if molecules.most is None else min(molecules.most, most)
    wanted = float(np.prod(canvas.shape)) * canvas.voxel_size**3 * molecules.occupancy
    return (_place_equal if molecules.equal else _place)(canvas, structures, wanted, limit)


def _place(canvas: Canvas, structures: Sequence[Structure], wanted: float, limit: int) -> Canvas:
    """Scatter structures in random proportions; what finds no room leaves gaps for the smaller half."""
    choice, placed = list(structures), 0
    while choice and wanted > 0 and placed < limit:
        room = wanted
        for index, amplitudes in _draw(choice, wanted, limit - placed, canvas):
            found = canvas.scatter(choice[index], amplitudes)
            placed += found
            wanted -= found * choice[index].volume
        if canvas.config.molecules.most is not None or wanted < 0.05 * room:
            break
        choice = sorted(choice, key=lambda s: s.volume)[: len(choice) // 2]
    return canvas


def _place_equal(canvas: Canvas, structures: Sequence[Structure], wanted: float, limit: int) -> Canvas:
    """As many copies of each structure as fill the volume; fewer of all where one of them finds less room."""
    ordered, jitter = sorted(structures, key=lambda s: -s.volume), canvas.config.molecules.jitter
    each = min(int(wanted / sum(s.volume for s in ordered)), limit // len(ordered)) if ordered else 0
    while each > 0:
        trial, found = canvas.copy(), each
        for structure in ordered:
            found = trial.scatter(structure, np.exp(canvas.rng.normal(0, jitter, each)))
            if found < each:
                break
        else:
            return trial
        each = found
    return canvas


def _draw(structures: Sequence[Structure], volume: float, limit: int, canvas: Canvas) -> list[tuple[int, Array]]:
    """How many of which structure fill a volume, as their amplitudes; the largest structures come first."""
    rng, jitter = canvas.rng, canvas.config.molecules.jitter
    sizes = np.array([max(s.volume, 1.0) for s in structures])
    # between equal numbers (0) and equal volumes (1), which would be nearly all small ones
    share = (rng.dirichlet(np.full(len(sizes), 0.8)) + 1e-3) / sizes**0.6
    chance = share / share.sum()
    expected = volume / (chance @ sizes)
    most = int(np.ceil(expected * 1.5)) + 5
    drawn = rng.choice(len(sizes), min(most, 30_000), p=chance)
    drawn = drawn[: int(np.searchsorted(np.cumsum(sizes[drawn]), volume)) + 1][:limit]
    counts = np.bincount(drawn, minlength=len(sizes))
    return [(int(i), np.exp(rng.normal(0, jitter, counts[i]))) for i in np.argsort(-sizes) if counts[i] > 0]
