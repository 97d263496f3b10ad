"""A demonstration: simulate a crowded scene, restore it with the shipped weights, score and draw both."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cryowae.config import ImagingConfig, MoleculesConfig, SceneConfig
from cryowae.imaging.projection import even_tilts
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.io.outputs import check_output, make_folder
from cryowae.io.tilts import write_tilts
from cryowae.metrics import Scores, format_table, score
from cryowae.models.weights import load_model
from cryowae.progress import SILENT, Progress
from cryowae.report import RestorationFacts, draw_restoration
from cryowae.restore import RestoreOptions, RestoreResult, restore_tomogram
from cryowae.restore.network import Model
from cryowae.specimen.builder import build_specimen, observe_specimen

SHAPE = (64, 128, 128)
VOXEL_SIZE = 10.0
TILTS = (-60.0, 60.0, 3.0)
SNR = 0.1
"""Signal-to-noise ratio: variance of the noise-free projections divided by the variance of the added noise."""

MARGIN = 0.02
"""Required improvement over the input. It is above 0 because clipping alone improves the scores a little."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class DemoResult:
    """The files and the scores of a demonstration.

    Attributes
    ----------
    tomogram, truth, restored, picture
        The files.
    scores
        Scores of `input` and `restored`.
    table
        The scores as text.
    seconds
        Total time.
    """

    tomogram: Path
    truth: Path
    restored: Path
    picture: Path
    scores: Mapping[str, Scores]
    table: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the result beats the input by `MARGIN` in NCC and in the Fourier shell correlation in the wedge."""
        before, after = self.scores["input"], self.scores["restored"]
        return after.ncc > before.ncc + MARGIN and after.fsc_mw > before.fsc_mw + MARGIN


def run_demo(
    output: str | Path,
    *,
    model: Model | str | Path = "default",
    seed: int = 1,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> DemoResult:
    """Simulate, restore, score and draw.

    Writes `demo_tomogram.mrc` with its angles in `demo_tomogram.tlt`, `demo_truth.mrc`, `demo_restored.mrc` and
    `demo.png`. Protein is dark in all of them, as most reconstruction programs write it.
    After an error or an interrupt none of the files is left.

    Parameters
    ----------
    output
        Folder for the files; created if it does not exist.
    model
        Weights by name or path, or what `load_model` returns.
    seed
        Seed of the scene and its noise.
    device
        Where the network runs: `auto`, `cpu`, `cuda` or `mps`.
    overwrite
        Overwrite the files of an earlier demonstration.
    progress
        Receives the progress of every step.

    Raises
    ------
    OutputError
        If the files exist and `overwrite` was not asked for, or the folder cannot be written.
    CheckpointError
        If there are no such weights.
    """
    began = time.perf_counter()
    network = load_model(model, device) if isinstance(model, str | Path) else model
    folder = make_folder(output)
    names = ("demo_tomogram.mrc", "demo_truth.mrc", "demo_restored.mrc", "demo.png", "demo_tomogram.tlt")
    tomogram, truth, restored, picture, angles = paths = [folder / name for name in names]
    for path in paths:
        check_output(path, overwrite=overwrite)
    try:
        size = " x ".join(map(str, SHAPE[::-1]))
        progress.say(f"simulating a scene of {size} voxels of {VOXEL_SIZE:g} Å at SNR {SNR:g}")
        density, seen = simulate(seed)
        for path, volume in ((truth, density), (tomogram, seen)):
            write_mrc(path, volume, voxel_size=VOXEL_SIZE, overwrite=overwrite, label="simulated scene")
        write_tilts(angles, even_tilts(*TILTS))
        progress.say(f"restoring it with {network.name}")
        options = RestoreOptions(device=device, overwrite=overwrite, report=False)
        done = restore_tomogram(tomogram, restored, model=network, options=options, progress=progress)
        result = np.array(read_mrc(restored).data, dtype=np.float32)
        volumes = {"input": seen, "restored": result}
        scores = {name: score(density, volume, TILTS[:2]) for name, volume in volumes.items()}
        _draw(picture, seen, result, scores, done, network.name)
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    return DemoResult(tomogram, truth, restored, picture, scores, format_table(scores), time.perf_counter() - began)


def simulate(seed: int) -> tuple[Array, Array]:
    """A crowded scene of artificial molecules, and its noisy reconstruction.

    Returns
    -------
    truth, tomogram
        `(z, y, x)` each, protein dark.
    """
    rng = np.random.default_rng(seed)
    config = SceneConfig(
        shape=SHAPE,
        voxel_size=VOXEL_SIZE,
        molecules=MoleculesConfig(procedural=8, occupancy=0.15),
        imaging=ImagingConfig(tilts=TILTS, snr=SNR),
    )
    specimen = build_specimen(config, streams=(rng, rng, rng))
    seen = observe_specimen(specimen, config, torch.Generator().manual_seed(seed))
    truth: Array = -specimen.density.numpy()
    tomogram: Array = -seen.tomogram(SNR).numpy()
    return truth, tomogram


def _draw(
    path: Path, seen: Array, result: Array, scores: Mapping[str, Scores], done: RestoreResult, model: str
) -> None:
    before, after = scores["input"], scores["restored"]
    facts = RestorationFacts(
        VOXEL_SIZE,
        done.tilt_min,
        done.tilt_max,
        contrast=done.contrast,
        model=model,
        seconds=done.seconds,
        notes=[
            ("NCC", f"{before.ncc:.2f} → {after.ncc:.2f} against the truth"),
            ("FSC, wedge", f"{before.fsc_mw:.2f} → {after.fsc_mw:.2f} against the truth"),
        ],
    )
    draw_restoration(path, seen, result, facts, title=f"simulated scene, SNR {SNR:g}")
