"""What a simulated tomogram is made of: specimen, microscope, reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from cryowae.config.files import Frozen, check, read_values

Noise = Literal["gaussian", "poisson", "none"]
"""Noise of a simulated tilt series."""

Scheme = Literal["dose-symmetric", "ascending", "bidirectional"]
"""Order in which tilts are exposed."""

Weighting = Literal["ramp", "exact", "sirt", "hann", "hamming"]
"""Weights of projections in a back-projection."""


class MoleculesConfig(Frozen):
    """What is placed, and how much of it.

    `procedural` counts invented kinds; `library` names maps and atomic models below the folder of real data, or by
    their path (`name@8` overrides a wrong voxel size with 8 Å). `occupancy` is the share of the volume to fill, `most`
    the greatest number of particles. `equal`: every kind in equal numbers, else in random proportions, mostly small
    ones. `jitter` is the standard deviation of the logarithm of a particle's contrast.
    """

    procedural: int = Field(8, ge=0)
    library: tuple[str, ...] = ()
    occupancy: float = Field(0.1, ge=0, le=0.5)
    most: int | None = Field(None, ge=0)
    equal: bool = False
    jitter: float = Field(0.0, ge=0)


class ImagingConfig(Frozen):
    """The microscope.

    `tilts` are lowest, highest and step in degrees. `snr` is the variance of the noise-free projections, gold left out,
    over that of the noise added to them; 0 adds none. The noise variance of a tilt `t` is multiplied by
    `cos(t) ** -growth`. `defocus` in micrometres, positive under focus, null for no CTF; `voltage` in kV, `cs` in mm,
    `phase_shift` in degrees. `dose` is the exposure per tilt in electrons per square angstrom, taken in the order of
    `scheme`; 0 for no radiation damage. `mtf` is `none`, `sinc` (of an ideal pixel), or a file of the detector's curve.
    """

    tilts: tuple[float, float, float] = (-60.0, 60.0, 3.0)
    snr: float = Field(0.1, ge=0)
    growth: float = Field(0.0, ge=0)
    defocus: float | None = None
    voltage: float = Field(300.0, gt=0)
    cs: float = Field(2.7, ge=0)
    amplitude_contrast: float = Field(0.07, ge=0, le=1)
    phase_shift: float = 0.0
    dose: float = Field(0.0, ge=0)
    scheme: Scheme = "dose-symmetric"
    mtf: str = "none"


class ReconstructionConfig(Frozen):
    """How the tilt series becomes a tomogram.

    `filter` weights the projections; `sirt` are the iterations that a SIRT-like filter imitates; `falloff` is the
    frequency in cycles per voxel at which a Gaussian low-pass has fallen to `exp(-1/2)`. `ctf`: `none`, or
    `phase-flip`.
    """

    filter: Weighting = "hann"
    sirt: int = Field(15, ge=1)
    falloff: float | None = Field(None, gt=0)
    ctf: Literal["none", "phase-flip"] = "none"


class SceneConfig(Frozen):
    """One simulated tomogram.

    `shape` is `(z, y, x)` in voxels of `voxel_size` angstrom. `thickness` of the specimen in angstrom, null for all of
    z. `beyond` is how much wider than the box the specimen is along x. `membranes` are random sheets and vesicles,
    `vesicles` closed spheres that lie whole in the box. `beads` of gold have `bead_diameter` in angstrom. `ice` is the
    standard deviation of the ice's unevenness, in units of a protein's contrast.
    """

    name: str = "scene"
    seed: int = Field(1, ge=0)
    shape: tuple[int, int, int] = (96, 192, 192)
    voxel_size: float = Field(10.0, gt=0)
    thickness: float | None = Field(None, gt=0)
    beyond: float = Field(1.0, ge=1, le=3)
    molecules: MoleculesConfig = MoleculesConfig()
    membranes: int = Field(0, ge=0)
    vesicles: int = Field(0, ge=0)
    filaments: int = Field(0, ge=0)
    beads: int = Field(0, ge=0)
    bead_diameter: float = Field(100.0, gt=0)
    ice: float = Field(0.0, ge=0)
    imaging: ImagingConfig = ImagingConfig()
    reconstruction: ReconstructionConfig = ReconstructionConfig()


def load_scene(name_or_path: str | Path, overrides: Sequence[str] = ()) -> SceneConfig:
    """Read the configuration of a scene: a YAML file, or NAME of `configs/scenes/NAME.yaml`; see `load_config`."""
    values, source = read_values(name_or_path, "scenes", overrides)
    return check(SceneConfig, values, source)
