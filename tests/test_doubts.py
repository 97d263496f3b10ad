"""Volumes that should not be restored: tilt series, and results of a restoration. Real volumes raise no doubt."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

from cryowae.errors import TomogramError
from cryowae.imaging.projection import TiltGeometry, back_project, project
from cryowae.io.header import RESTORED
from cryowae.io.mrc import write_mrc
from cryowae.io.neighbours import find_halves
from cryowae.tomogram import item_of

ANGLES = np.linspace(-60, 60, 41)
GEOMETRY = TiltGeometry(tuple(ANGLES.tolist()), 41, 80)


def specimen(depth: int = 41) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    volume = torch.nn.functional.avg_pool3d(torch.randn(1, 1, depth, 72, 80, generator=random), 3, 1, 1)
    return volume[0, 0] * (volume[0, 0] > 0.2)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return project(specimen(), GEOMETRY)


def series(folder: Path, images: torch.Tensor, name: str, snr: float, **options: bool) -> Path:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    noisy = images + (float(images.std()) / snr**0.5 if snr else 0.0) * noise
    write_mrc(folder / name, noisy.numpy(), voxel_size=10.0, **options)
    np.savetxt(folder / f"{Path(name).stem}.tlt", ANGLES, fmt="%.2f")
    return folder / name


@pytest.mark.parametrize("snr", [0.01, 0.1, 1.0])
@pytest.mark.parametrize(("name", "stack"), [("S.st", False), ("S.mrc", False), ("S.mrc", True), ("S.ali", True)])
def test_a_tilt_series_is_doubted(tmp_path, images, name, stack, snr):
    item = item_of(series(tmp_path, images, name, snr, stack=stack))
    assert len(item.doubts) == 1 and "`cryowae reconstruct`" in item.doubts[0]
    with pytest.raises(TomogramError, match="--force"):
        item.require_no_doubts()
    forced = item_of(item.source, force=True)
    forced.require_no_doubts()
    assert item.doubts[0] in forced.notes


def test_a_tilt_series_is_doubted_with_a_range_of_tilts_too(tmp_path, images):
    path = series(tmp_path, images, "S.mrc", 0.1, stack=True)
    (tmp_path / "S.tlt").unlink()
    assert item_of(path, tilt_range=(-60.0, 60.0)).doubts
    with mrcfile.open(series(tmp_path, images, "T.mrc", 0.1), "r+") as file:
        file.set_extended_header(np.zeros(41 * 192, "V1"))
        file.header.exttyp = b"FEI1"
    (tmp_path / "T.tlt").unlink()
    assert item_of(tmp_path / "T.mrc", tilt_range=(-60.0, 60.0)).doubts


def test_halves_that_are_series_are_doubted(tmp_path, images):
    half1, half2 = (series(tmp_path, images, f"S_{name}.st", snr) for name, snr in (("EVN", 0.1), ("ODD", 0.2)))
    assert len(item_of(half1, half1=half1, half2=half2).doubts) == 2


def test_half_series_beside_a_volume_are_not_offered_as_its_halves(tmp_path, images):
    for name in ("S_EVN", "S_ODD", "V_EVN", "V_ODD"):
        series(tmp_path, images[::2] if name[0] == "S" else images, f"{name}.mrc", 0.1)
    for name in ("S", "V"):
        write_mrc(tmp_path / f"{name}.mrc", specimen().numpy(), voxel_size=10.0)
    assert find_halves(tmp_path / "S.mrc") is None
    assert find_halves(tmp_path / "V.mrc") is not None


@pytest.mark.parametrize("snr", [0.01, 1.0])
@pytest.mark.parametrize(("name", "stack"), [("S.mrc", False), ("S.mrc", True), ("S.st", False)])
def test_a_volume_with_as_many_sections_as_tilts_is_not_doubted(tmp_path, images, name, stack, snr):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    noisy = images + float(images.std()) / snr**0.5 * noise
    volume = back_project(noisy, GEOMETRY)
    assert volume.shape[0] == len(ANGLES)
    write_mrc(tmp_path / name, volume.numpy(), voxel_size=10.0, stack=stack)
    np.savetxt(tmp_path / "S.tlt", ANGLES, fmt="%.2f")
    assert item_of(tmp_path / name).doubts == []


def test_results_are_doubted_wherever_they_are_read(tmp_path):
    volume = np.random.default_rng(0).normal(size=(24, 32, 40)).astype(np.float32)
    raw, done = tmp_path / "raw.mrc", tmp_path / "done.mrc"
    write_mrc(raw, volume, voxel_size=10.0)
    write_mrc(done, volume, voxel_size=10.0, label=f"{RESTORED} tiny")
    tilts = {"tilt_range": (-60.0, 60.0)}
    assert item_of(raw, **tilts).doubts == []
    assert "restored already, by tiny" in item_of(done, **tilts).doubts[0]
    assert item_of(raw, half1=raw, half2=done, **tilts).doubts
    assert item_of(done, half1=raw, half2=raw, **tilts).doubts == []


def test_real_tomograms_are_not_doubted(data_folder):
    names = ("empiar10499_TS01_20A_full.mrc", "empiar10499_TS01_20A_even.mrc", "cylindra_13pf_MT.mrc")
    for path in (data_folder / "tomograms" / name for name in names):
        if not path.exists():
            pytest.skip(f"{path.name} is not in the data folder")
        assert item_of(path, tilt_range=(-60.0, 60.0)).doubts == []


@pytest.mark.parametrize(
    ("name", "tilts"),
    [
        ("empiar10499_TS01_stack_10A_f16.mrc", "empiar10499_TS01.tlt"),
        ("etspy_HAADF_77tilts.mrc.gz", "etspy_HAADF_77tilts.rawtlt"),
    ],
)
def test_real_tilt_series_are_doubted(data_folder, name, tilts):
    path = data_folder / "tilt" / name
    if not (path.exists() and (path.parent / tilts).exists()):
        pytest.skip(f"{name} is not in the data folder")
    assert item_of(path, tilts=path.parent / tilts, voxel_size=10.0).doubts
