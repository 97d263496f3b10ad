"""Restoration apart from the network: scale, sign, halves, masks, consistency, voxel sizes, and no leftover files."""

from __future__ import annotations

import os
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch
from torch import Tensor

from cryowae.errors import ConfigError, OutputError, TomogramError
from cryowae.fourier.resampling import resample, resampling_ratio
from cryowae.fourier.rotation import random_rotations, rotate
from cryowae.fourier.wedge import Wedge
from cryowae.imaging.projection import TiltGeometry, back_project, even_tilts, project
from cryowae.io.mrc import in_zyx, write_mrc
from cryowae.models.weights import load_model
from cryowae.progress import Progress
from cryowae.restore import RestoreOptions, restore_array, restore_tomogram
from cryowae.tomogram import Item, open_tomogram

SHAPE = (24, 40, 48)
QUIET = RestoreOptions(report=False)


class Blur:
    """A model without weights: the mean over 3x3x3 voxels, which, unlike a network, is odd and linear."""

    stride, receptive_field, voxel_sizes, name, device = 8, 8, (8.0, 20.0), "blur", torch.device("cpu")

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, window: Tensor, /) -> Tensor:
        self.seen.append(window.clone())
        return torch.nn.functional.avg_pool3d(window, 3, stride=1, padding=1, count_include_pad=False)


class Identity(Blur):
    def __call__(self, window: Tensor, /) -> Tensor:
        self.seen.append(window.clone())
        return window


class Greedy(Identity):
    def __call__(self, window: Tensor, /) -> Tensor:
        if window.numel() > 40000:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return window


class Interrupted(Blur):
    def __call__(self, window: Tensor, /) -> Tensor:
        raise KeyboardInterrupt


class Diary(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def tomogram_like(shape=SHAPE, seed=0, mean=100.0, sigma=12.0) -> np.ndarray:
    """Noise with bright balls, one in 4000 voxels."""
    rng = np.random.default_rng(seed)
    volume = rng.normal(size=shape)
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    for _ in range(volume.size // 4000):
        centre = [rng.integers(4, n - 3) for n in shape]
        volume += 3 * np.exp(-((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) / 12)
    return (mean + sigma * np.clip(volume, -5, 5)).astype(np.float32)


def halves_like(shape=SHAPE, noise=12.0) -> list[np.ndarray]:
    """Two noisy measurements of one specimen."""
    return [
        tomogram_like(shape) + noise * np.random.default_rng(seed).normal(size=shape).astype(np.float32)
        for seed in (1, 2)
    ]


def save(folder: Path, volume: np.ndarray, name: str = "tomo", voxel_size: float = 10.0, axes: str = "zyx") -> Path:
    path = folder / f"{name}.mrc"
    write_mrc(path, volume, voxel_size=voxel_size, axes=axes)
    (folder / f"{name}.tlt").write_text("".join(f"{t}\n" for t in range(-60, 61, 3)))
    return path


def read(path: Path) -> np.ndarray:
    with mrcfile.open(path) as file:
        return np.array(file.data)


def test_output_is_a_valid_file_on_the_scale_of_the_input(tmp_path):
    volume = tomogram_like()
    result = restore_tomogram(save(tmp_path, volume), model=Identity(), options=QUIET)
    assert result.path == tmp_path / "tomo_restored.mrc"
    assert np.abs(read(result.path) - volume).max() < 1e-4 * volume.std()
    assert mrcfile.validate(result.path)
    with mrcfile.open(result.path) as file:
        assert file.voxel_size.x == pytest.approx(10)
        assert file.header.mode == 2 and file.header.dmean == pytest.approx(volume.mean(), rel=1e-4)
    assert result.measured_correlation > 0.999 and result.inferred_share > 0.01
    assert (result.tilt_min, result.tilt_max) == (-60, 60) and "tomo.tlt" in result.tilt_source


class Density(Blur):
    """Returns molecules in solvent of 0, as networks do: the mean of its output differs from that of its input."""

    def __call__(self, window: Tensor, /) -> Tensor:
        return super().__call__(window).clamp(min=0)


@pytest.mark.parametrize("consistency", ["off", "soft", "hard"])
def test_output_has_the_mean_of_the_input(tmp_path, consistency):
    volume = -tomogram_like()
    volume[3, 3, 3] = -1e5
    options = RestoreOptions(consistency=consistency, report=False)
    result = read(restore_tomogram(save(tmp_path, volume), contrast="dark", model=Density(), options=options).path)
    kept = np.abs(volume + 100) < 100 if consistency != "hard" else volume < np.inf  # the bead was measured too
    assert result[kept].mean() == pytest.approx(volume[kept].mean(), abs=0.01 * float(volume[kept].std()))


def test_an_inverted_input_gives_an_inverted_result(tmp_path):
    volume = tomogram_like()
    results = []
    for name, sign in (("bright", 1), ("dark", -1)):
        result = restore_tomogram(save(tmp_path, sign * volume, name), model=Blur(), options=QUIET)
        assert result.contrast == name
        results.append(read(result.path))
    assert np.abs(results[0] + results[1]).max() < 1e-4 * volume.std()


class Lopsided(Blur):
    """Its output depends on the direction, as that of a network."""

    def __call__(self, window: Tensor, /) -> Tensor:
        return super().__call__(window) + 0.3 * window.roll((1, 2, 3), (-3, -2, -1)).abs()


def test_restoration_commutes_with_half_turns(tmp_path):
    volume, model = tomogram_like(), Lopsided()
    straight = read(restore_tomogram(save(tmp_path, volume), model=model, options=QUIET).path)
    assert len(model.seen) == 4
    for axes in ((1, 2), (0, 2), (0, 1)):
        turned = save(tmp_path, np.flip(volume, axes).copy(), f"turned{axes[0]}{axes[1]}")
        result = read(restore_tomogram(turned, model=model, options=QUIET).path)
        assert np.abs(np.flip(result, axes) - straight).max() < 1e-3 * volume.std()
    mirrored = save(tmp_path, np.flip(volume, 0).copy(), "mirrored")
    result = read(restore_tomogram(mirrored, model=model, options=QUIET).path)
    assert np.abs(np.flip(result, 0) - straight).max() > 0.1 * volume.std()  # the mirror image is restored differently


def test_the_inferred_part_is_written_beside_the_result(tmp_path):
    path = save(tmp_path, tomogram_like(), axes="xzy")
    options = RestoreOptions(report=False, write_inferred=True)
    tomogram = open_tomogram(path, axes="xzy")
    result = restore_tomogram(tomogram, model=Blur(), options=options)
    assert result.inferred == tmp_path / "tomo_restored_inferred.mrc"
    whole = in_zyx(read(result.path), "xzy")
    inferred = in_zyx(read(result.inferred), "xzy")
    measured = tomogram.wedge.apply(torch.from_numpy(whole.copy())).numpy()
    assert np.abs(inferred + measured - whole).max() < 1e-4 * whole.std()
    with mrcfile.open(result.inferred) as file:
        assert any("restored by blur" in label for label in file.get_labels())
    with pytest.raises(OutputError, match="exists already"):
        restore_tomogram(tomogram, tmp_path / "tomo_restored.mrc", model=Blur(), options=options)


def test_fast_is_one_pass_of_the_network(tmp_path):
    path, model = save(tmp_path, tomogram_like()), Lopsided()
    slow = restore_tomogram(path, model=model, options=QUIET)
    model.seen.clear()
    fast = restore_tomogram(path, model=model, options=RestoreOptions(fast=True, report=False, overwrite=True))
    assert len(model.seen) == 1
    assert slow.network_voxels_per_voxel == 4 * fast.network_voxels_per_voxel


def test_the_network_input_has_unit_noise_bright_protein_and_no_beads(tmp_path):
    volume = -tomogram_like()
    volume[3, 3, 3] = -1e6
    model = Blur()
    restore_tomogram(save(tmp_path, volume), model=model, options=QUIET)
    seen = model.seen[0]
    assert seen.shape == (1, 1, 24, 40, 48) and seen.dtype == torch.float32
    assert abs(float(seen.mean())) < 0.1 and float(seen.std()) == pytest.approx(1, abs=0.1)
    assert float(seen.max()) == pytest.approx(12) and float((seen**3).mean()) > 0.05


def test_the_picture_is_drawn_beside_the_result(tmp_path):
    result = restore_tomogram(save(tmp_path, tomogram_like()), tmp_path / "out.mrc", model=Blur())
    assert result.pictures == (tmp_path / "out.png",) and result.pictures[0].stat().st_size > 10_000


def spectra(*volumes: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Spectra, and masks of clearly measured and clearly missing components at ±60 degrees."""
    kz, _, kx = np.meshgrid(*[np.fft.fftfreq(n) for n in SHAPE], indexing="ij")
    border, slope = np.abs(np.abs(kz) - np.tan(np.deg2rad(60)) * np.abs(kx)) < 1e-6, np.tan(np.deg2rad(60))
    measured = np.abs(kz) < slope * np.abs(kx)
    return [np.fft.fftn(v.astype(np.float64)) for v in volumes], measured & ~border, ~measured & ~border & (kz != 0)


def test_hard_consistency_keeps_the_measured_components(tmp_path):
    volume = tomogram_like()
    options = RestoreOptions(consistency="hard", report=False)
    result = restore_tomogram(save(tmp_path, volume), model=Blur(), options=options)
    (before, after), measured, _ = spectra(volume, read(result.path))
    assert np.abs(after - before)[measured].max() < 1e-4 * np.abs(before[measured]).std()
    assert result.measured_correlation > 0.99


@pytest.mark.parametrize("consistency", ["off", "soft", "hard"])
def test_leave_empties_the_wedge(tmp_path, consistency):
    volume = tomogram_like()
    options = RestoreOptions(consistency=consistency, wedge="leave", report=False)
    result = restore_tomogram(save(tmp_path, volume), model=Blur(), options=options)
    (before, after), _, missing = spectra(volume, read(result.path))
    assert np.abs(after[missing]).max() < 1e-4 * np.abs(before[missing]).std()
    assert result.inferred_share < 1e-3


def test_soft_consistency_lies_between_off_and_hard(tmp_path):
    volume = tomogram_like()
    source = save(tmp_path, volume)
    found = {}
    for name in ("off", "soft", "hard"):
        options = RestoreOptions(consistency=name, report=False, overwrite=True)
        found[name] = read(restore_tomogram(source, model=Blur(), options=options).path) - volume
    distances = [float(np.square(found[name]).mean()) for name in ("off", "soft", "hard")]
    assert distances[0] > 1.01 * distances[1] > 1.02 * distances[2]


def test_halves_are_averaged_and_each_half_is_restored(tmp_path):
    halves = halves_like()
    paths = [save(tmp_path, half, name) for half, name in zip(halves, ("a", "b"), strict=True)]
    source = save(tmp_path, np.zeros(SHAPE, np.float32) + halves[0])
    options = RestoreOptions(write_halves=True)
    result = restore_tomogram(source, half1=paths[0], half2=paths[1], model=Identity(), options=options)
    # the second half is brought to the mean and the standard deviation of the first
    assert np.abs(read(result.path) - (halves[0] + halves[1]) / 2).max() < 0.05 * halves[0].std()
    assert [p.name for p in result.halves] == ["tomo_restored_half1.mrc", "tomo_restored_half2.mrc"]
    assert all(np.abs(read(p) - h).max() < 1e-3 for p, h in zip(result.halves, halves, strict=True))
    assert [p.name for p in result.pictures] == ["tomo_restored.png", "tomo_restored_halves.png"]
    assert all(p.is_file() for p in result.pictures)


def test_halves_beside_the_tomogram_are_reported(tmp_path):
    for name in ("tomo_EVN", "tomo_ODD"):
        save(tmp_path, tomogram_like(), name)
    result = restore_tomogram(save(tmp_path, tomogram_like()), model=Blur(), options=QUIET)
    assert any("tomo_EVN.mrc and tomo_ODD.mrc" in note for note in result.notes)


def test_soft_consistency_keeps_components_in_which_halves_agree():
    volume = tomogram_like()
    wedge, options = Wedge.binary(-60, 60), RestoreOptions(consistency="soft")
    facts = {"wedge": wedge, "voxel_size": 10.0, "contrast": "bright", "halves": (volume, volume)}
    result = restore_array(volume, **facts, model=Blur(), options=options)
    (before, after), measured, _ = spectra(volume, result.data)
    assert np.abs(after - before)[measured].max() < 1e-4 * np.abs(before[measured]).std()


def test_halves_of_another_shape_are_refused(tmp_path):
    source, other = save(tmp_path, tomogram_like()), save(tmp_path, tomogram_like((24, 40, 40)), "b")
    with pytest.raises(TomogramError, match=r"24 x 40 x 40 .* expected 24 x 40 x 48"):
        restore_tomogram(source, half1=source, half2=other, model=Blur(), options=QUIET)
    with pytest.raises(ConfigError, match="both"):
        restore_tomogram(source, half1=source, model=Blur(), options=QUIET)


def test_outside_the_mask_nothing_changes(tmp_path):
    volume, mask = tomogram_like(), np.zeros(SHAPE, dtype=np.float32)
    mask[:, 10:30, 10:30] = 1
    source = save(tmp_path, volume)
    write_mrc(tmp_path / "mask.mrc", mask, voxel_size=10)
    options = RestoreOptions(consistency="hard", wedge="leave", report=False)
    inside = read(restore_tomogram(source, tmp_path / "all.mrc", model=Blur(), options=options).path)
    result = read(restore_tomogram(source, mask=tmp_path / "mask.mrc", model=Blur(), options=options).path)
    assert (result[mask == 0] == volume[mask == 0]).all()
    assert (result[mask == 1] == inside[mask == 1]).all()


def test_float16_is_the_rounded_float32(tmp_path):
    source = save(tmp_path, tomogram_like())
    exact = read(restore_tomogram(source, tmp_path / "a.mrc", model=Blur(), options=QUIET).path)
    options = RestoreOptions(float16=True, report=False)
    result = restore_tomogram(source, tmp_path / "b.mrc", model=Blur(), options=options)
    with mrcfile.open(result.path) as file:
        assert file.header.mode == 12
    assert np.abs(read(result.path) - exact).max() < 0.07


def test_values_that_float16_cannot_hold_are_refused(tmp_path):
    source = save(tmp_path, tomogram_like(mean=0, sigma=1e5))
    with pytest.raises(OutputError, match="--float16"):
        restore_tomogram(source, model=Blur(), options=RestoreOptions(float16=True, report=False))
    assert sorted(os.listdir(tmp_path)) == ["tomo.mrc", "tomo.tlt"]


def test_axes_of_the_file_are_kept(tmp_path):
    volume = tomogram_like()
    expected = read(restore_tomogram(save(tmp_path, volume), model=Blur(), options=QUIET).path)
    source = save(tmp_path, volume, "turned", axes="xzy")
    result = restore_tomogram(open_tomogram(source, axes="xzy"), model=Blur(), options=QUIET)
    assert read(result.path).shape == (40, 24, 48)
    assert np.abs(read(result.path).transpose(1, 0, 2)[::-1] - expected).max() < 1e-4


@pytest.mark.parametrize(("voxel_size", "shape"), [(5.0, (15, 25, 35)), (24.0, (28, 48, 57)), (40.0, (48, 80, 96))])
def test_other_voxel_sizes_are_resampled_in_the_window(tmp_path, voxel_size, shape):
    model = Identity()
    coarse = np.random.default_rng(0).normal(size=(6, 10, 12)).astype(np.float32)
    smooth = resample(torch.from_numpy(coarse), SHAPE).numpy()
    result = restore_tomogram(
        save(tmp_path, smooth, voxel_size=voxel_size), contrast="dark", model=model, options=QUIET
    )
    assert any(f"from {voxel_size:g} to" in note for note in result.notes)
    seen = model.seen[0].shape[-3:]
    assert all(n % 8 == 0 and n >= least for n, least in zip(seen, shape, strict=True))
    inner = (slice(4, -4),) * 3
    assert np.corrcoef(read(result.path)[inner].ravel(), smooth[inner].ravel())[0, 1] > 0.98
    assert 0.6 < float(model.seen[0].std()) < 1.6


@pytest.mark.parametrize("voxel_size", [3.9, 41.0])
def test_voxel_sizes_far_from_the_training_are_refused_with_the_reason(tmp_path, voxel_size):
    with pytest.raises(TomogramError, match=r"expected 4 to 40 Å: the model knows 8 to 20 Å"):
        restore_tomogram(
            save(tmp_path, tomogram_like(), voxel_size=voxel_size), contrast="dark", model=Blur(), options=QUIET
        )
    assert sorted(os.listdir(tmp_path)) == ["tomo.mrc", "tomo.tlt"]


def test_resampling_keeps_constants_and_waves():
    wave = torch.sin(torch.arange(64) * 2 * torch.pi / 16).expand(4, 4, 64)
    finer = resample(wave, (4, 4, 96))
    expected = torch.sin(((torch.arange(96) + 0.5) / 1.5 - 0.5) * 2 * torch.pi / 16)
    assert (finer[0, 0, 6:-6] - expected[6:-6]).abs().max() < 0.02
    fast = torch.cos(torch.arange(64) * torch.pi * 0.95).expand(4, 4, 64)
    assert resample(fast, (4, 4, 32))[0, 0, 4:-4].abs().max() < 0.15  # would be 1 with aliasing
    assert (resample(torch.ones(8, 8, 8), (4, 12, 20)) - 1).abs().max() < 1e-6
    assert float(resampling_ratio(13, (8, 20))) == 1 and float(resampling_ratio(30, (8, 20))) == 1.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_with_count_and_position(tmp_path, value):
    volume = tomogram_like()
    volume[7, 5, 3] = volume[20, 6, 4] = value
    with pytest.raises(TomogramError, match=r"2 voxels of NaN or infinity, the first at \(x, y, z\) = \(3, 5, 7\)"):
        restore_tomogram(save_any(tmp_path, volume), model=Blur(), options=QUIET)
    assert sorted(os.listdir(tmp_path)) == ["tomo.mrc", "tomo.tlt"]


def save_any(folder: Path, volume: np.ndarray) -> Path:
    """As `save`, for values that the writer of cryowae refuses."""
    path = save(folder, tomogram_like())
    with mrcfile.open(path, "r+") as file:
        file.data[...] = volume
    return path


def test_constant_volumes_are_refused(tmp_path):
    with pytest.raises(TomogramError, match="constant"):
        restore_tomogram(save(tmp_path, np.full(SHAPE, 3, np.float32)), model=Blur(), options=QUIET)


def test_an_existing_output_is_kept_without_overwrite(tmp_path):
    source = save(tmp_path, tomogram_like())
    restore_tomogram(source, model=Blur(), options=QUIET)
    before = (tmp_path / "tomo_restored.mrc").read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        restore_tomogram(source, model=Identity(), options=QUIET)
    assert (tmp_path / "tomo_restored.mrc").read_bytes() == before
    restore_tomogram(source, model=Identity(), options=RestoreOptions(report=False, overwrite=True))
    assert (tmp_path / "tomo_restored.mrc").read_bytes() != before


def test_an_existing_picture_blocks_nothing(tmp_path):
    source = save(tmp_path, tomogram_like())
    (tmp_path / "tomo_restored.png").write_text("left over from a lost result")
    restore_tomogram(source, model=Blur())
    assert (tmp_path / "tomo_restored.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("float16", [False, True])
def test_no_file_is_left_after_an_interrupt(tmp_path, float16):
    source = save(tmp_path, tomogram_like())
    with pytest.raises(KeyboardInterrupt):
        restore_tomogram(source, model=Interrupted(), options=RestoreOptions(float16=float16))
    assert sorted(os.listdir(tmp_path)) == ["tomo.mrc", "tomo.tlt"]


def test_out_of_memory_is_reported_and_smaller_windows_are_used(tmp_path):
    volume, diary = tomogram_like(), Diary()
    result = restore_tomogram(save(tmp_path, volume), model=Greedy(), options=QUIET, progress=diary)
    assert any("Out of memory" in line for line in diary.said)
    assert np.abs(read(result.path) - volume).max() < 1e-4 * volume.std()


@pytest.mark.parametrize("shape", [(5, 40, 33), (7, 9, 11), (64, 16, 16), (2, 2, 2)])
@pytest.mark.parametrize("consistency", ["off", "soft"])
def test_thin_and_tiny_tomograms(tmp_path, shape, consistency):
    volume = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    options = RestoreOptions(consistency=consistency, report=False)
    result = restore_tomogram(save(tmp_path, volume), contrast="dark", model=Identity(), options=options)
    assert np.abs(read(result.path) - volume).max() < 1e-3


def test_unknown_options_are_refused():
    with pytest.raises(ConfigError, match="expected one of: auto, dark, bright"):
        Item(Path("tomo.mrc"), contrast="light")
    with pytest.raises(ConfigError, match="expected one of: off, soft, hard"):
        RestoreOptions(consistency="hardly")


def test_options_that_moved_to_the_item_work_with_a_warning(tmp_path):
    volume = -tomogram_like()
    with pytest.warns(DeprecationWarning, match="give contrast to restore_tomogram or to Item"):
        options = RestoreOptions(contrast="bright", report=False)
    assert restore_tomogram(save(tmp_path, volume), model=Blur(), options=options).contrast == "bright"


def test_a_chiral_object_keeps_its_handedness_through_restoration(tmp_path):
    """Project, back-project, rotate, restore: the result resembles the rotated object and not its mirror images."""
    z, y, x = torch.meshgrid(*[torch.arange(n) - (n - 1) / 2 for n in (40, 40, 40)], indexing="ij")
    turns = torch.arange(0, 4 * np.pi, 0.15)
    centres = [(8 * a.sin(), 2 * (a - 2 * np.pi), 8 * a.cos()) for a in turns]
    helix = sum(torch.exp(-((z - c) ** 2 + (y - b) ** 2 + (x - a) ** 2) / 4) for c, b, a in centres)
    geometry = TiltGeometry(even_tilts(-60, 60, 3), 40, 40)
    seen = back_project(project(helix, geometry), geometry)
    turn = random_rotations(1, torch.Generator().manual_seed(3))
    turned, expected = (rotate(volume[None], turn)[0] for volume in (seen, helix))
    source = save(tmp_path, -turned.numpy())
    restored = -torch.from_numpy(read(restore_tomogram(source, contrast="dark", model=Blur(), options=QUIET).path))

    def likeness(volume: Tensor) -> float:
        return float(torch.corrcoef(torch.stack([restored.ravel(), volume.ravel()]))[0, 1])

    mirrored = max(likeness(rotate(helix.flip(axis)[None], turn)[0]) for axis in range(3))
    assert likeness(expected) > mirrored + 0.2


@pytest.mark.gpu
@pytest.mark.parametrize(("half", "tolerance"), [(False, 1e-3), (True, 2e-2)])
def test_cuda_gives_the_result_of_the_cpu(tmp_path, monkeypatch, half, tolerance):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    source = save(tmp_path, tomogram_like((48, 96, 96)))
    volumes = []
    for device, half_here in (("cpu", False), ("cuda", half)):
        model = load_model(device=device, half=half_here)
        options = RestoreOptions(report=False, window=64)
        result = restore_tomogram(source, tmp_path / f"{device}.mrc", model=model, options=options)
        volumes.append(read(result.path))
    assert np.abs(volumes[0] - volumes[1]).max() < tolerance * volumes[0].std()


@pytest.mark.gpu
def test_cuda_out_of_memory_halves_the_window(tmp_path):
    source, diary = save(tmp_path, tomogram_like((128, 256, 256))), Diary()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.5e9 / total)
    try:
        result = restore_tomogram(source, model=load_model(device="cuda"), options=QUIET, progress=diary)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert any("Out of memory" in line for line in diary.said)
    assert np.isfinite(read(result.path)).all()
