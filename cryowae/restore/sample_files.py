"""Samples of a tomogram as files: the main result, the standard deviation, and each sample if it is wanted.

The samples so far are kept in a hidden folder beside the result. After an interrupt, the same command goes on with the
next sample.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae import __version__
from cryowae.config.options import RestoreOptions
from cryowae.errors import OutputError
from cryowae.io.mrc import MrcWriter, in_zyx, read_mrc, stem_of
from cryowae.io.neighbours import sample_beside, std_beside
from cryowae.io.outputs import hidden_path, in_letters
from cryowae.progress import SILENT, Progress
from cryowae.report.sampling import draw_samples
from cryowae.restore.core import Restored
from cryowae.restore.moments import Moments
from cryowae.restore.network import Model
from cryowae.restore.samples import sample_array
from cryowae.tomogram.item import Item
from cryowae.tomogram.volumes import Volume, slabs

_NO_MATTER = {"overwrite", "samples", "device", "report", "float16"}
_NO_MATTER |= {"write_halves", "write_inferred", "write_std"}


def restore_samples(
    item: Item, path: Path, network: Model, options: RestoreOptions, progress: Progress = SILENT
) -> Restored:
    """Draw the samples of a tomogram, and write them and their moments.

    Parameters
    ----------
    item
        The tomogram.
    path
        The main result: the mean of the samples, or the first one.
    network
        Weights with random codes.
    options
        Number, seed and files of the samples, and how each is restored.
    progress
        Receives the progress of every window.

    Returns
    -------
    done
        Notes and cost of all samples; its data are None.

    Raises
    ------
    CheckpointError
        If the weights have no random codes.
    OutputError
        If a file cannot be written. All other errors are those of `restore_array`.
    KeyboardInterrupt
        After Ctrl-C; complete samples are kept.
    """
    count, shape = options.drawn, item.tomogram.shape
    moments = Moments(shape, hidden_path(path, "samples"), _key(item, network, options))
    kept = [_kept(moments, number) for number in range(count)]
    if moments.count:
        progress.say(f"{moments.count} of {count} samples were complete; going on with the next")

    def keep(number: int, values: NDArray[np.float32]) -> None:
        if options.write_samples or number == 0:  # the picture and `--estimate sample` need the first one
            with volume_writer(item, kept[number], options, _label(network, options, number), overwrite=True) as writer:
                _copy(values, writer.data)

    how: dict[str, Any] = {**item.facts(), "model": network, "options": options, "scratch": path.parent}
    try:
        done = sample_array(item.content, moments, count, seed=options.seed, each=keep, progress=progress, **how)
    except BaseException:
        if moments.count:
            progress.say(f"{moments.count} of {count} samples are kept: the same command goes on with the next")
        else:
            moments.remove()
        raise
    _write(item, path, moments, network, options, kept)
    missing: tuple[str, ...] = ()
    if options.report and count > 1:
        try:
            _draw(item, path, moments, kept[0])
        except (OutputError, OSError) as error:
            missing = (f"{path} is complete, but the picture of its samples is missing: {error}",)
    for made, place in zip(kept, sample_paths(path, options)[count > 1 :], strict=False):
        os.replace(made, place)
    moments.remove()
    notes, cost = (done.notes, done.network_voxels_per_voxel) if done else ((), 0.0)
    return Restored(None, item.protein, (*notes, *missing), cost * count)


def sample_paths(path: Path, options: RestoreOptions) -> list[Path]:
    """The files of samples beside the main result: their standard deviation, then the single ones."""
    made = [std_beside(path)] if options.samples > 1 else []
    numbers = range(1, options.samples + 1) if options.write_samples else ()
    return [*made, *(sample_beside(path, number) for number in numbers)]


def sample_picture(path: Path) -> Path:
    """The picture of the samples beside the main result."""
    return path.with_name(f"{stem_of(path)}_samples.png")


def volume_writer(
    item: Item, path: Path, options: RestoreOptions, label: str, *, overwrite: bool | None = None
) -> MrcWriter:
    """A writer of a volume like the tomogram."""
    tomogram = item.tomogram
    return MrcWriter(
        path,
        tomogram.shape,
        voxel_size=tomogram.voxel_size,
        like=tomogram.header,
        float16=options.float16,
        overwrite=options.overwrite if overwrite is None else overwrite,
        axes=tomogram.axes,
        label=label,
    )


def _write(item: Item, path: Path, moments: Moments, network: Model, options: RestoreOptions, kept: list[Path]) -> None:
    """Write the main result and the standard deviation, both or none."""
    with ExitStack() as files:
        first = f"mean of {moments.count} samples by {network.name}"
        label = first if options.estimate == "mean" else _label(network, options, 0)
        main = files.enter_context(volume_writer(item, path, options, label))
        source = None if options.estimate == "mean" else in_zyx(read_mrc(kept[0]).data, item.tomogram.axes)
        for part in slabs(moments.shape):
            main.data[part] = moments.mean(part) if source is None else source[part]
        if options.samples > 1:
            label = f"standard deviation of {moments.count} samples by {network.name}"
            spread = files.enter_context(volume_writer(item, sample_paths(path, options)[0], options, label))
            for part in slabs(moments.shape):
                spread.data[part] = moments.deviation(part)


def _draw(item: Item, path: Path, moments: Moments, first: Path) -> None:
    axes = item.tomogram.axes
    sample, spread = (in_zyx(read_mrc(one).data, axes) for one in (first, std_beside(path)))
    size, name = item.tomogram.voxel_size, in_letters(item.tomogram.path.name)
    mean = moments.mean(slice(None))
    draw_samples(sample_picture(path), mean, sample, spread, count=moments.count, voxel_size=size, title=name)


def _copy(values: NDArray[np.float32], out: NDArray[Any]) -> None:
    for part in slabs(values.shape):
        out[part] = values[part]


def _label(network: Model, options: RestoreOptions, number: int) -> str:
    return f"sample {number + 1} of seed {options.seed} by {network.name}"


def _kept(moments: Moments, number: int) -> Path:
    assert moments.folder is not None
    return moments.folder / f"sample{number + 1}.mrc"


def _key(item: Item, network: Model, options: RestoreOptions) -> dict[str, Any]:
    """What must be the same for a run to go on: program, weights, options, and all values that are read.

    The values count and not their files: a volume in memory has no file, or is no longer that of its file.
    """
    volumes = [*(item.halves or [item.tomogram.data]), *([] if item.mask_volume is None else [item.mask_volume])]
    inputs = [_digest(volume) for volume in volumes]
    chosen = {name: value for name, value in asdict(options).items() if name not in _NO_MATTER}
    wedge = item.wedge
    facts = [item.protein, item.tomogram.voxel_size, wedge.tilt_min, wedge.tilt_max, item.tomogram.axes]
    weights = [network.name, getattr(network, "sha256", "")]
    return {"version": __version__, "weights": weights, "options": chosen, "facts": facts, "inputs": inputs}


def _digest(volume: Volume) -> str:
    """A hash of all values of a volume, read slab by slab."""
    found = hashlib.blake2b(str((volume.shape, volume.dtype)).encode(), digest_size=16)
    for part in slabs(volume.shape):
        found.update(np.ascontiguousarray(volume[part]).tobytes())
    return found.hexdigest()
