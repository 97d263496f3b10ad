"""Configuration of a simulated tomogram: specimen, microscope, reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from cryowae.config.files import Frozen, check, read_values
from cryowae.config.values import Angles, Distance, Gains, Name, Number, Paths, Seed, Share, Tilts, VoxelSize

Noise = Literal["gaussian", "poisson", "none"]
"""Noise of a simulated tilt series."""

Scheme = Literal["dose-symmetric", "ascending", "bidirectional"]
"""Order in which tilts are exposed."""

Weighting = Literal["ramp", "exact", "sirt", "hann", "hamming"]
"""Weights of projections in a back-projection."""


Edge = Annotated[int, Field(ge=1, le=10**6)]
"""Voxels along one axis. Whether there is enough memory is checked when a scene is made."""


class MoleculesConfig(Frozen):
    """Which molecules are placed, and how many.

    `procedural` is the number of artificial kinds. `library` lists maps and atomic models: paths below the folder of
    real data, or paths of your own files (`name@8` replaces a wrong voxel size by 8 Å). `occupancy` is the share of the
    volume to fill, `most` the maximum number of particles. With `equal`, every kind has the same number of copies;
    otherwise the proportions are random, and small molecules are more frequent. `jitter` is the standard deviation of
    the logarithm of a particle's contrast.
    """

    procedural: Number = 8
    library: Paths = ()
    occupancy: float = Field(0.1, ge=0, le=0.5)
    most: int | None = Field(None, ge=0, le=10**6)
    equal: bool = False
    jitter: float = Field(0.0, ge=0, le=10)


class ImagingConfig(Frozen):
    """The microscope and the tilt scheme.

    `tilts` are the lowest angle, the highest angle and the step in degrees; `angles`, if given, lists the angles in
    ascending order and replaces `tilts`. `snr` is the variance of the noise-free projections, without gold, divided by
    the variance of the noise added to them; 0 adds no noise. The noise variance of a tilt `t` is multiplied by
    `cos(t) ** -growth`. `noise_gains`, if given, are factors on the noise at frequencies spread evenly from 0 to 0.5
    cycles per voxel; its variance stays that of `snr`. `defocus` is in micrometres, positive for underfocus, null for
    no CTF; `voltage` in kV, `cs` in mm, `phase_shift` in degrees. `dose` is the exposure per tilt in electrons per
    square angstrom, taken in the order of `scheme`; 0 for no radiation damage. `mtf` is `none`, `sinc` (of an ideal
    pixel), or a file with the curve of a detector.
    """

    tilts: Tilts = (-60.0, 60.0, 3.0)
    angles: Angles | None = None
    snr: float = Field(0.1, ge=0, le=1e9)
    growth: float = Field(0.0, ge=0, le=100)
    noise_gains: Gains | None = None
    defocus: float | None = Field(None, ge=-1e6, le=1e6)
    voltage: float = Field(300.0, gt=0, le=1e9)
    cs: float = Field(2.7, ge=0, le=1e9)
    amplitude_contrast: Share = 0.07
    phase_shift: float = Field(0.0, ge=-360, le=360)
    dose: float = Field(0.0, ge=0, le=10_000)
    scheme: Scheme = "dose-symmetric"
    mtf: str = "none"


class ReconstructionConfig(Frozen):
    """How the tilt series becomes a tomogram.

    `filter` is the weighting of the projections. `sirt` is the number of iterations that a SIRT-like filter imitates.
    `falloff` is the frequency, in cycles per voxel, at which a Gaussian low-pass filter has fallen to `exp(-1/2)`; null
    for none. `ctf` is `none` or `phase-flip`. `gains`, if given, are further factors on the projections, at frequencies
    spread evenly from 0 to 0.5 cycles per voxel: the transfer of a real reconstruction, as `cryowae fit` measures it.
    """

    filter: Weighting = "hann"
    sirt: int = Field(15, ge=1, le=10_000)
    falloff: float | None = Field(None, gt=0, le=100)
    ctf: Literal["none", "phase-flip"] = "none"
    gains: Gains | None = None


class SceneConfig(Frozen):
    """One simulated tomogram.

    `shape` is `(z, y, x)` in voxels of `voxel_size` angstrom. `thickness` is that of the specimen in angstrom, null for
    all of z; `above` is the empty space before it along z in angstrom, null to centre it. `beyond` is the width of the
    specimen along x divided by that of the box. `overhang` lets particles stick out of the specimen along y and x; null
    means only if it is wider than the box.

    `membranes` is the number of random sheets and vesicles, `vesicles` that of closed spheres, `beads` that of gold
    beads with `bead_diameter` in angstrom. `spheres_within` says where whole spheres and beads lie: in the `box`, or
    anywhere in the `specimen`. `bead_truth` is the density of beads in the ground truth, where protein is 1; null for
    the density of gold. `ice` is the standard deviation of uneven ice, in units of a protein's contrast; it is not part
    of the ground truth. `background` is that of an equally smooth density that is part of it, as cytoplasm is.
    """

    name: Name = "scene"
    seed: Seed = 1
    shape: tuple[Edge, Edge, Edge] = (96, 192, 192)
    voxel_size: VoxelSize = 10.0
    thickness: float | None = Field(None, gt=0, le=1e7)
    above: Distance | None = None
    beyond: float = Field(1.0, ge=1, le=3)
    overhang: bool | None = None
    molecules: MoleculesConfig = MoleculesConfig()
    membranes: Number = 0
    vesicles: Number = 0
    filaments: Number = 0
    beads: Number = 0
    bead_diameter: float = Field(100.0, gt=0, le=5000)
    spheres_within: Literal["box", "specimen"] = "box"
    bead_truth: float | None = Field(None, ge=0, le=1e4)
    ice: float = Field(0.0, ge=0, le=100)
    background: float = Field(0.0, ge=0, le=100)
    imaging: ImagingConfig = ImagingConfig()
    reconstruction: ReconstructionConfig = ReconstructionConfig()

    @property
    def extent(self) -> tuple[int, int, int]:
        """`(z, y, x)` of the specimen in voxels: a slab that may be thinner than the box, and wider along x."""
        depth, rows, width = self.shape
        slab = depth if self.thickness is None else min(depth, max(round(self.thickness / self.voxel_size), 1))
        return slab, rows, width + 2 * round((self.beyond - 1) / 2 * width)

    @property
    def origin(self) -> tuple[int, int, int]:
        """`(z, y, x)` of the first voxel of the specimen, counted in the box."""
        room = self.shape[0] - self.extent[0]
        above = room // 2 if self.above is None else min(round(self.above / self.voxel_size), room)
        return above, 0, (self.shape[2] - self.extent[2]) // 2


def load_scene(name_or_path: str | Path, overrides: Sequence[str] = ()) -> SceneConfig:
    """Read the configuration of a scene: a YAML file, or NAME of `configs/scenes/NAME.yaml`; see `load_config`."""
    values, source = read_values(name_or_path, "scenes", overrides)
    return check(SceneConfig, values, source)
