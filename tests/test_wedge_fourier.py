"""The wedge obeys the physics of a tilt series: checked with NumPy, sums along rays and independent libraries only."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from wedges import WEDGES, random_volume

from cryowae.fourier.wedge import Wedge
from cryowae.imaging.projection import TiltGeometry, project

PARITIES = list(itertools.product((7, 8), (5, 6), (9, 10)))


def random_ball(n: int, rows: int, seed: int = 0) -> np.ndarray:
    """`(n, rows, n)`: smooth random density in the middle of an otherwise empty box."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(n, rows, n)), (1.6, 0.5, 1.6))
    z, x = np.mgrid[:n, :n] - (n - 1) / 2
    return noise / noise.std() * np.exp(-(((z**2 + x**2) / (n / 6) ** 2) ** 2))[:, None]


def projected(volume: np.ndarray, tilt: float) -> np.ndarray:
    """`(y, u)`: the sum along the beam of the volume, rotated by interpolation so that the beam is its first axis."""
    n, (sin, cos) = volume.shape[0], (np.sin(np.deg2rad(tilt)), np.cos(np.deg2rad(tilt)))
    beam, u = np.mgrid[:n, :n] - (n - 1) / 2
    z, x = u * sin + beam * cos, u * cos - beam * sin  # u = x cos + z sin, the beam across it
    at = np.stack([z, x]) + (n - 1) / 2
    return np.array([map_coordinates(volume[:, y], at, order=5).sum(0) for y in range(volume.shape[1])])


def central_slice(volume: np.ndarray, tilt: float, frequencies: np.ndarray) -> np.ndarray:
    """`(y, k)`: the transform of every row y at kz = k sin t and kx = k cos t, by its definition."""
    n, angle = volume.shape[0], np.deg2rad(tilt)
    z, x = np.mgrid[:n, :n] - (n - 1) / 2
    waves = np.exp(-2j * np.pi * frequencies[:, None, None] * (z * np.sin(angle) + x * np.cos(angle)))
    return np.einsum("zyx,kzx->yk", volume, waves)


def transform(rows: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """`(y, k)`: the transform of detector rows about their middle."""
    u = np.arange(rows.shape[1]) - (rows.shape[1] - 1) / 2
    return rows @ np.exp(-2j * np.pi * u[:, None] * frequencies)


def tilted_beam(tilt: float) -> torch.Tensor:
    """Matrix on (z, y, x) that rotates the slice kz = 0 to that of a tilt: kx goes to (kz, kx) = k (sin, cos)."""
    sin, cos = np.sin(np.deg2rad(tilt)), np.cos(np.deg2rad(tilt))
    return torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], dtype=torch.float32)


def ray_sums(volume, p, q):
    """Projection along the rays q x + p z = u of a periodic `(n, y, n)` volume: tilt `atan(p / q)`; `(y, u)`."""
    n = volume.shape[0]
    sums = np.zeros((volume.shape[1], n))
    for z in range(n):
        for x in range(n):
            sums[:, (q * x + p * z) % n] += volume[z, :, x]
    return sums


def spectrum_of_point_spread(wedge, shape):
    """The effect of the mask: the full transform of `apply` for a point at the origin."""
    point = torch.zeros(shape, dtype=torch.float64)
    point[0, 0, 0] = 1
    return np.fft.fftn(wedge.apply(point).numpy())


@pytest.mark.parametrize("tilt", [-71.0, -58.0, -33.0, -13.0, 0.0, 22.5, 50.0, 75.0, 88.0])
def test_a_projection_is_a_central_slice_which_the_wedge_keeps_or_removes(tilt):
    k = np.array([0.06, 0.08, 0.1, 0.13, 0.16])
    volume = random_ball(48, 3)
    known = transform(projected(volume, tilt), k)
    scale = np.abs(known).mean()
    assert np.abs(known - central_slice(volume, tilt, k)).max() < 0.02 * scale
    assert np.abs(known - central_slice(volume, -tilt, k)).max() > scale or tilt == 0
    # in a large box, so that tails do not wrap around and are not cut off
    padded = np.zeros((240, 3, 240))
    padded[96:144, :, 96:144] = volume
    kept = Wedge.binary(-45.5, 62).apply(torch.from_numpy(padded)).numpy()
    seen = transform(projected(kept, tilt), k)
    if -45.5 <= tilt <= 62:
        assert np.abs(seen - known).max() < 0.1 * scale
    else:
        assert np.abs(seen).max() < 0.1 * scale


@pytest.mark.parametrize("tilt", [-40.0, 52.0])
def test_projections_are_those_of_numpy(tilt):
    k = np.array([0.04, 0.07, 0.1, 0.13, 0.16])
    volume = random_ball(48, 3)
    ours = project(torch.from_numpy(volume).float(), TiltGeometry((tilt, 70.0), 48, 48))[0].double().numpy()
    expected = transform(projected(volume, tilt), k)
    assert np.abs(transform(ours, k) - expected).max() < 0.03 * np.abs(expected).max()
    assert np.corrcoef(ours.ravel(), projected(volume, tilt).ravel())[0, 1] > 0.999


def test_an_asymmetric_range_sees_one_side_of_an_asymmetric_object():
    """Two plates seen edge on at +52 and at -52 degrees: a range from -40 to 60 keeps the first one only."""
    n = 96
    z, x = np.mgrid[:n, :n] - (n - 1) / 2
    window = np.exp(-(((z**2 + x**2) / 18**2) ** 2))
    sums, left = {}, {}
    for tilt in (52.0, -52.0):
        u = x * np.cos(np.deg2rad(tilt)) + z * np.sin(np.deg2rad(tilt))
        plate = (np.cos(2 * np.pi * 0.12 * u) * np.exp(-((u / 6) ** 2)) * window)[:, None]
        kept = Wedge.binary(-40, 60).apply(torch.from_numpy(plate)).numpy()
        sums[tilt] = projected(plate, tilt).std() / projected(plate, -tilt).std()
        left[tilt] = projected(kept, tilt).std() / projected(plate, tilt).std()
    assert min(sums.values()) > 5  # each is seen in its own projection
    assert left[52.0] > 0.95 and left[-52.0] < 0.1


@pytest.mark.parametrize("tilt", [-70.0, -55.0, -30.0, 0.0, 25.0, 50.0, 75.0])
def test_slices_of_torch_fourier_slice_are_full_or_empty(tilt):
    extract = pytest.importorskip("torch_fourier_slice").extract_central_slices_rfft_3d
    n = 64
    volume = random_volume((n, n, n)).float()

    def slice_of(v):
        # about the centre of the box, zero frequency in the middle of kz and ky, as that library expects
        spectrum = torch.fft.rfftn(torch.fft.ifftshift(v), dim=(-3, -2, -1))
        return extract(torch.fft.fftshift(spectrum, dim=(0, 1)), tilted_beam(tilt), fftfreq_max=0.4, zyx_matrices=True)

    before, after = slice_of(volume), slice_of(Wedge.binary(-42, 60).apply(volume))
    far = slice(n // 8, None)  # nearer to zero frequency the library interpolates across the edge of the wedge
    share = after[:, far].abs().square().sum() / before[:, far].abs().square().sum()
    if -42 <= tilt <= 60:
        assert share == pytest.approx(1, abs=0.02)
        torch.testing.assert_close(after[:, 2 * n // 8 :], before[:, 2 * n // 8 :], atol=1e-2, rtol=1e-3)
    else:
        assert share < 0.02


@pytest.mark.parametrize("tilt", [-55.0, -20.0, 35.0, 60.0])
def test_projections_agree_with_torch_fourier_slice(tilt):
    library = pytest.importorskip("torch_fourier_slice")
    n = 48
    volume = np.zeros((n, n, n))
    volume[12:36, 12:36, 12:36] = random_ball(24, 24, seed=4)
    volume = torch.from_numpy(gaussian_filter(volume, 1.0)).float()
    theirs = library.project_3d_to_2d(volume, tilted_beam(tilt), zyx_matrices=True)
    series = project(volume, TiltGeometry((-tilt, tilt) if tilt > 0 else (tilt, -tilt), n, n))
    ours, mirrored = series if tilt < 0 else series.flip(0)
    # that library rotates about voxel n // 2, cryowae about (n - 1) / 2
    shift = (1 - np.cos(np.deg2rad(tilt)) - np.sin(np.deg2rad(tilt))) / 2
    wave = torch.exp(-2j * torch.pi * torch.fft.rfftfreq(n) * shift)
    theirs = torch.fft.irfft(torch.fft.rfft(theirs) * wave.conj(), n=n)

    def likeness(image):
        return float(torch.corrcoef(torch.stack([image.flatten(), theirs.flatten()]))[0, 1])

    assert likeness(ours) > 0.995
    assert likeness(mirrored) < 0.95


def test_slices_that_torch_fourier_slice_inserts_lie_in_the_slabs_of_single_tilts():
    insert = pytest.importorskip("torch_fourier_slice").insert_central_slices_rfft_3d
    n, angles = 64, [-35.0, -15.0, 25.0, 45.0, 60.0]
    white = torch.ones(len(angles), n, n // 2 + 1, dtype=torch.complex64)
    matrices = torch.stack([tilted_beam(t) for t in angles])
    _, weights = insert(white, (n, n, n), matrices, fftfreq_max=0.4, zyx_matrices=True)
    weights = torch.fft.ifftshift(weights, dim=(0, 1)).mean(1)
    kz, kx = torch.fft.fftfreq(n)[:, None], torch.fft.rfftfreq(n)[None]
    inner = (kz**2 + kx**2).sqrt() < 0.3
    share = {}
    for name, wedge in (("own", Wedge.per_tilt(angles, 2 / n)), ("other", Wedge.per_tilt(angles, 2 / n).flipped())):
        mask = wedge.mask_plane((n, n)) * inner
        share[name] = float((weights * mask).sum() / (weights * inner).sum())
    assert share["own"] > 0.97 and share["other"] < 0.75
    assert (weights[(Wedge.per_tilt(angles, 0.5 / n).mask_plane((n, n)) > 0) & inner] > 0).all()


@pytest.mark.parametrize(("p", "q"), [(0, 1), (1, 1), (-1, 1), (1, 2), (-1, 2), (2, 1), (-2, 1), (1, 0)])
def test_projection_slice_theorem(p, q):
    # the transform of a projection is a central slice; so the wedge must not change the projections at tilts within
    # its range, and leave nothing but the mean of each row of those at tilts outside of it
    volume = random_volume((13, 4, 13))
    tilt = np.rad2deg(np.arctan2(p, q))
    inside, outside = Wedge.binary(-30, 50), Wedge.binary(-30, 50).flipped()
    known = np.fft.fft(ray_sums(volume.numpy(), p, q), axis=1)
    slices = np.abs(np.arange(13) - 13 * (np.arange(13) > 6)) * max(abs(p), abs(q)) < 6.5  # beyond, lines wrap around
    for wedge in (inside, outside):
        seen = np.fft.fft(ray_sums(wedge.apply(volume).numpy(), p, q), axis=1)
        if wedge.tilt_min <= tilt <= wedge.tilt_max:
            np.testing.assert_allclose(seen[:, slices], known[:, slices], atol=1e-10)
        else:
            np.testing.assert_allclose(seen[:, 0], known[:, 0], atol=1e-10)
            assert np.abs(seen[:, slices][:, 1:]).max() < 1e-10 < np.abs(known[:, slices][:, 1:]).min()


@pytest.mark.parametrize("shape", [(16, 3, 16), (15, 4, 40), (40, 5, 22)])
@pytest.mark.parametrize(("a", "b"), [(1, 1), (3, 2), (2, 5), (-4, 3), (5, 1)])
def test_a_plane_wave_survives_within_the_range_only(shape, a, b):
    # kz = +tan(t) kx in cycles per voxel, also in boxes that are not cubes
    kz, kx = a / shape[0], b / shape[2]
    z, _, x = np.indices(shape)
    wave = torch.from_numpy(np.cos(2 * np.pi * (kz * z + kx * x) + 0.3))
    tilt = np.rad2deg(np.arctan(kz / kx))
    near = Wedge.binary(tilt - 0.1, tilt + 0.1)
    assert torch.allclose(near.apply(wave), wave, atol=1e-12)
    assert near.flipped().apply(wave).abs().max() < 1e-12
    assert Wedge.per_tilt([tilt / 3, tilt], 1e-3).apply(wave).allclose(wave, atol=1e-12)


@pytest.mark.parametrize("shape", PARITIES)
@pytest.mark.parametrize("wedge", WEDGES)
def test_friedel_symmetry(shape, wedge):
    mask = spectrum_of_point_spread(wedge, shape)
    assert np.abs(mask.imag).max() < 1e-12
    opposite = np.roll(mask[::-1, ::-1, ::-1], 1, axis=(0, 1, 2))
    np.testing.assert_allclose(mask, opposite, atol=1e-12)
    np.testing.assert_allclose(mask.real[..., : shape[2] // 2 + 1], wedge.mask(shape), atol=1e-12)


@pytest.mark.parametrize("shape", PARITIES)
@pytest.mark.parametrize("wedge", WEDGES)
def test_applying_the_wedge_twice_changes_nothing(shape, wedge):
    once = wedge.apply(random_volume(shape))
    assert (wedge.apply(once) - once).abs().max() < 1e-12
    assert set(wedge.mask(shape).unique().tolist()) == {0.0, 1.0}


def test_tilted_slices_are_inside_and_the_gap_is_empty():
    shape, wedge = (48, 8, 64), Wedge.binary(-42, 60)
    mask = wedge.mask(shape).numpy()
    for tilt in range(-88, 89, 2):
        along = np.linspace(0.2, 0.45, 40)
        kz, kx = along * np.sin(np.deg2rad(tilt)), along * np.cos(np.deg2rad(tilt))
        values = mask[np.rint(kz * 48).astype(int), :, np.rint(kx * 64).astype(int)]  # nearest component
        if -38 <= tilt <= 56:
            assert values.min() == 1, tilt
        elif not -46 <= tilt <= 64:
            assert values.max() == 0, tilt


def test_agrees_with_torch_grid_utils():
    grid_utils = pytest.importorskip("torch_grid_utils")
    n, low, high = 41, -37.3, 58.9
    middle = np.deg2rad((low + high) / 2)
    expected = grid_utils.wedge(high - low, n, principal_axis=(np.sin(middle), np.cos(middle))).bool().numpy()
    expected = np.fft.ifftshift(expected)[:, : n // 2 + 1]
    assert (expected == (Wedge.binary(low, high).mask_plane((n, n)).numpy() > 0.5)).all()


def test_a_back_projected_point_is_inside_the_mask():
    angles, n = np.arange(-20, 61, 2.0), 64
    z, x = np.mgrid[:n, :n] - (n - 1) / 2
    point = np.zeros((n, n))
    for t in np.deg2rad(angles):
        u = x * np.cos(t) + z * np.sin(t) - 2.3
        point += (1 - u**2) * np.exp(-(u**2) / 2)  # a point imaged by a band-limited detector
    point *= np.outer(np.hanning(n), np.hanning(n))
    power = np.abs(np.fft.rfft2(point)) ** 2

    def share(wedge):
        return (power * wedge.mask_plane((n, n)).numpy()).sum() / power.sum()

    assert share(Wedge.binary(-23, 63)) > 0.99
    assert share(Wedge.per_tilt(angles, 4 / n)) > 0.99
    assert share(Wedge.binary(-23, 63).flipped()) < 0.6
    assert share(Wedge.binary(-20, 20)) < 0.6
