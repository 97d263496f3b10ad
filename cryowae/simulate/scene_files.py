"""The files of a simulated scene: a crowded tomogram with its complete ground truth."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import yaml

from cryowae.config import SceneConfig
from cryowae.fourier.grids import Device
from cryowae.io.mrc import write_mrc
from cryowae.io.outputs import check_output, make_folder, write_text
from cryowae.io.star import relion_angles, star_table
from cryowae.io.tilts import write_tilts
from cryowae.progress import SILENT, Outcome, Progress
from cryowae.report import SheetEntry, draw_contact_sheet
from cryowae.specimen.builder import Specimen, build_specimen, observe_specimen, require_possible
from cryowae.specimen.library import load_library


class ScenePaths(NamedTuple):
    """The files of a scene.

    Attributes
    ----------
    truth, tomogram
        `NAME_truth.mrc` and `NAME.mrc`, protein dark.
    half1, half2
        `NAME_half1.mrc` and `NAME_half2.mrc`: reconstructions of the frame halves, whose mean is the tomogram.
    labels
        `NAME_labels.mrc` (16-bit integers): 0 ice, -1 membrane, -2 filament, -3 bead, or a particle's number.
    angles
        `NAME.tlt`: degrees, one per line.
    particles
        `NAME_particles.star`, see `particle_table`.
    config
        `NAME.yaml`: the configuration, from which the same files can be made again.
    picture
        `NAME.png`: slices of truth and tomogram.
    """

    truth: Path
    tomogram: Path
    half1: Path
    half2: Path
    labels: Path
    angles: Path
    particles: Path
    config: Path
    picture: Path

    @classmethod
    def within(cls, folder: Path, name: str) -> ScenePaths:
        """The names of the files of a scene in a folder."""
        volumes = (folder / f"{name}{part}.mrc" for part in ("_truth", "", "_half1", "_half2", "_labels"))
        texts = (folder / f"{name}{ending}" for ending in (".tlt", "_particles.star", ".yaml", ".png"))
        return cls(*volumes, *texts)


@dataclass(frozen=True)
class SceneFiles(Outcome):
    """A simulated scene.

    Attributes
    ----------
    paths
        The files.
    counts
        Particles of each kind.
    """

    paths: ScenePaths
    counts: Mapping[str, int]


def simulate_scene(
    config: SceneConfig,
    output: str | Path,
    *,
    overwrite: bool = False,
    device: Device = "cpu",
    progress: Progress = SILENT,
) -> SceneFiles:
    """Simulate a tomogram and write it with its ground truth.

    Protein is dark in truth, tomogram and halves, as most reconstruction programs write it. The same configuration
    gives the same bytes on one machine with the same versions and number of threads. The files get their final names
    when all of them are complete.

    Parameters
    ----------
    config
        The scene.
    output
        Folder for the files; created if it does not exist.
    overwrite
        Overwrite existing files.
    device
        Device of the simulation.
    progress
        Receives the progress of every stage.

    Raises
    ------
    ConfigError
        If the scene is impossible, or a structure that it names cannot be found.
    OutputError
        If a file exists and `overwrite` is not set, or the folder cannot be written.
    """
    started = time.monotonic()
    require_possible(config)
    folder = make_folder(output)
    paths = ScenePaths.within(folder, config.name)
    for path in paths:
        check_output(path, overwrite=overwrite)
    if config.molecules.library:
        progress.say(f"reading {len(config.molecules.library)} structures")
    library = load_library(config.molecules.library)
    size = " x ".join(map(str, config.shape[::-1]))
    progress.say(f"placing molecules in {size} voxels of {config.voxel_size:g} Å")
    specimen = build_specimen(config, library, device)
    progress.say(f"simulating the tilt series of {len(specimen.particles)} particles")
    with TemporaryDirectory(prefix=f".{config.name}.", suffix=".partial", dir=folder) as scratch:
        made = ScenePaths.within(Path(scratch), config.name)
        _write(made, specimen, config)
        for source, target in zip(made, paths, strict=True):
            os.replace(source, target)
    asked = (("vesicles", config.vesicles, specimen.vesicles), ("beads", config.beads, specimen.beads))
    notes = tuple(f"{len(found)} of {wanted} {what} found room" for what, wanted, found in asked if len(found) < wanted)
    counts = Counter(particle.name for particle in specimen.particles)
    return SceneFiles(paths, counts, notes=notes, seconds=time.monotonic() - started)


def particle_table(specimen: Specimen, config: SceneConfig) -> str:
    """The particles of a specimen as a STAR file for RELION 5.

    `rlnCoordinateX/Y/Z` are in voxels of the tomogram, counted from 0 at the centre of its first voxel: RELION's
    pixels at bin 1 of a tilt series of this voxel size. `rlnAngleRot/Tilt/Psi` rotate the structure of
    `Specimen.kinds` to its orientation in the tomogram, see `relion_angles`. `rlnClassNumber` is the number of the
    kind and `cryowaeName` its name; `cryowaeLabel` is the value in the labels, `cryowaeAmplitude` the factor on the
    density.
    """
    particles, imaging = specimen.particles, config.imaging
    angles = [relion_angles(p.rotation) for p in particles]
    classes = {name: i for i, name in enumerate(specimen.kinds, 1)}
    optics: dict[str, Sequence[str | int | float]] = {
        "rlnOpticsGroup": [1],
        "rlnOpticsGroupName": ["opticsGroup1"],
        "rlnVoltage": [imaging.voltage],
        "rlnSphericalAberration": [imaging.cs],
        "rlnAmplitudeContrast": [imaging.amplitude_contrast],
        "rlnTomoTiltSeriesPixelSize": [specimen.voxel_size],
    }
    table: dict[str, Sequence[str | int | float]] = {
        "rlnTomoName": [config.name] * len(particles),
        "rlnTomoParticleName": [f"{config.name}/{i}" for i in range(1, len(particles) + 1)],
        **{f"rlnCoordinate{axis}": [p.centre[i] for p in particles] for i, axis in ((2, "X"), (1, "Y"), (0, "Z"))},
        **{f"rlnAngle{name}": [angle[i] for angle in angles] for i, name in enumerate(("Rot", "Tilt", "Psi"))},
        "rlnClassNumber": [classes[p.name] for p in particles],
        "rlnOpticsGroup": [1] * len(particles),
        "cryowaeName": [p.name for p in particles],
        "cryowaeLabel": [p.label for p in particles],
        "cryowaeAmplitude": [p.amplitude for p in particles],
    }
    return star_table("optics", optics) + star_table("particles", table)


def _write(paths: ScenePaths, specimen: Specimen, config: SceneConfig) -> None:
    seen, snr, size = observe_specimen(specimen, config), config.imaging.snr, specimen.voxel_size
    truth = -specimen.density.cpu().numpy()
    tomogram, (half1, half2) = seen.tomogram(snr), seen.halves(snr)
    write_mrc(paths.truth, truth, voxel_size=size, label="simulated scene: ground truth")
    write_mrc(paths.labels, specimen.labels.numpy(), voxel_size=size, int16=True, label="simulated scene: labels")
    for path, volume in ((paths.tomogram, tomogram), (paths.half1, half1), (paths.half2, half2)):
        write_mrc(path, -volume.cpu().numpy(), voxel_size=size, label="simulated scene")
    write_tilts(paths.angles, seen.angles)
    write_text(paths.particles, particle_table(specimen, config))
    values = SceneConfig.model_validate({name: getattr(config, name) for name in SceneConfig.model_fields})
    text = yaml.safe_dump(values.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(paths.config, f"# `cryowae simulate scene` with this file gives the files in this folder again\n{text}")
    entries = [SheetEntry("ground truth", truth), SheetEntry("tomogram", -tomogram.cpu().numpy())]
    draw_contact_sheet(paths.picture, entries, voxel_size=size, title=config.name)
