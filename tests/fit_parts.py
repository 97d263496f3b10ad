"""Small simulated tomograms, a tiny configuration and a tiny plan for the tests of `cryowae fit`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from mrcfile.dtypes import HEADER_DTYPE

from cryowae.config import DataConfig, ImagingConfig, MoleculesConfig, ReconstructionConfig, SceneConfig
from cryowae.fit.physics import Physics
from cryowae.fourier.wedge import Wedge
from cryowae.imaging.observation import ForwardModel
from cryowae.io.header import MrcHeader
from cryowae.progress import Progress
from cryowae.specimen.builder import build_specimen
from cryowae.tomogram import Item, Tomogram

ANGLES = tuple(np.arange(-60.0, 61.0, 6.0).tolist())
SHAPE = (32, 48, 80)
BASE = DataConfig(
    scene=(48, 64, 64),
    crop=16,
    batch=2,
    pool=1,
    crops_per_scene=8,
    workers=0,
    membranes=0.0,
    filaments=0.0,
    occupancy=(0.12, 0.18),
)
TINY = {**BASE.model_dump(mode="json", include={"batch", "pool", "crops_per_scene", "workers", "crop"})}
TINY |= {"scene": [24, 32, 32], "membranes": 0.0, "filaments": 0.0, "vacant": 0.0, "crops_per_scene": 64}
PHYSICS = Physics(10.0, ANGLES, 0.5, tuple(np.linspace(1, 0.5, 17).tolist()), (0.0,) * 32, (0.4, 0.6), 0.8, False)


def scene_of(shape=(48, 64, 64), seed=5, **reconstruction):
    """Configuration of a scene of molecules."""
    return SceneConfig(
        seed=seed,
        shape=shape,
        molecules=MoleculesConfig(procedural=5, occupancy=0.15),
        imaging=ImagingConfig(angles=ANGLES),
        reconstruction=ReconstructionConfig(**{"filter": "ramp", **reconstruction}),
    )


def observe(config, seed=3):
    """`truth` and `Observation` of a scene."""
    import torch

    density = build_specimen(config).beam
    return density.numpy(), ForwardModel(config).observe(density, torch.Generator().manual_seed(seed))


def noise_of(shape=(48, 64, 64), seed=1):
    """`(2, z, y, x)` reconstructions of white noise."""
    import torch

    model = ForwardModel(scene_of(shape))
    return model.reconstruct(model.noise(2, torch.Generator().manual_seed(seed))).numpy()


def item_from(volume, halves=None, contrast="bright", tilts=ANGLES, name="tomo.mrc", **options):
    """An item of an array."""
    tomogram = Tomogram(
        np.asarray(volume),
        10.0,
        MrcHeader(np.zeros((), HEADER_DTYPE), b"", "<"),
        Path(name),
        Wedge.binary(-60, 60),
        tilts,
    )
    return Item(source=tomogram, open_halves=halves, contrast=contrast, **options)


def objective_file(folder, terms=None, **data):
    """A YAML file with a tiny objective."""
    values = {"name": "x", "warmup": 1, "ema": 0.5, "rate": 0.002, "kernel_rate": 0.0}
    values |= {"objective": terms or {"supervised": 1.0}, "data": {**TINY, **data}}
    path = folder / "objective.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


class Told(Progress):
    """Keeps the messages."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)
