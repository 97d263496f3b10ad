"""Projection and back-projection against their physics, and their gradients."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from cryowae.config.files import check
from cryowae.config.scene import ImagingConfig, ReconstructionConfig, SceneConfig
from cryowae.errors import ConfigError, TiltError
from cryowae.imaging.observation import ForwardModel
from cryowae.imaging.projection import (
    RAMP,
    TiltGeometry,
    back_project,
    even_tilts,
    project,
    projection_weights,
    tilt_angles,
)

TILTS = even_tilts(-60, 60, 3)
EXACT = ReconstructionConfig(filter="exact")


def scene(shape, **values):
    values = {"reconstruction": RAMP} | values
    return SceneConfig(shape=shape, voxel_size=6.0, **values)


def smooth(shape, seed=0, width=1.0):
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    k = [torch.fft.fftfreq(n) for n in shape]
    r2 = k[0][:, None, None] ** 2 + k[1][None, :, None] ** 2 + k[2][None, None] ** 2
    low = torch.fft.ifftn(torch.fft.fftn(noise) * torch.exp(-2 * (torch.pi * width) ** 2 * r2)).real
    for axis, n in enumerate(shape):
        low = low * torch.hann_window(n, periodic=False).view([-1 if i == axis else 1 for i in range(3)])
    return low / low.std()


def test_even_tilts_include_both_ends():
    assert len(TILTS) == 41
    assert TILTS[0] == -60
    assert TILTS[-1] == 60


@pytest.mark.parametrize("tilt", [-50.0, -20.0, 0.0, 33.0, 60.0])
def test_projection_slice_theorem(tilt):
    """The transform of a projection is the central slice (kz, kx) = ku (sin t, cos t), here by a direct sum."""
    depth, rows, width = 24, 6, 32
    v = smooth((depth, rows, width))
    detector = 64
    series = project(v, TiltGeometry((tilt, 70.0), depth, width, detector))[0].double().numpy()
    z = np.arange(depth) - (depth - 1) / 2
    x = np.arange(width) - (width - 1) / 2
    u = np.arange(detector) - (detector - 1) / 2
    t = np.deg2rad(tilt)
    brightest = 0.0
    for ku in (0.01, 0.05, 0.1, 0.17, 0.22):
        line = np.exp(-2j * np.pi * ku * (z[:, None] * np.sin(t) + x[None] * np.cos(t)))
        expected = np.einsum("zyx,zx->y", v.double().numpy(), line)
        found = series @ np.exp(-2j * np.pi * ku * u)
        brightest = max(brightest, np.abs(expected).max())
        assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max() + 2e-3 * brightest


def test_a_plane_wave_is_kept_only_on_the_measured_side():
    """kz = +tan(t) kx is measured for t in the range: the sign of the convention."""
    depth, width = 64, 64
    z = (torch.arange(depth) - depth / 2)[:, None, None]
    x = (torch.arange(width) - width / 2)[None, None]
    hann = torch.hann_window(depth)[:, None, None] * torch.hann_window(width)[None, None]
    geometry = TiltGeometry(even_tilts(0, 60, 3), depth, width)
    kept = {}
    for sign in (1, -1):
        wave = torch.cos(2 * torch.pi * 0.12 * (x + sign * np.tan(np.deg2rad(30)) * z)) * hann
        kept[sign] = back_project(project(wave.expand(-1, 4, -1), geometry), geometry).square().sum()
    assert kept[-1] < 0.02 * kept[1]


def test_reconstruction_has_unit_gain_in_the_measured_region():
    v = smooth((48, 8, 64), width=1.5)
    geometry = TiltGeometry(TILTS, 48, 64)
    back = back_project(project(v, geometry), geometry)
    spectrum, truth = torch.fft.rfftn(back), torch.fft.rfftn(v)
    kz = torch.fft.fftfreq(48)[:, None, None]
    kx = torch.fft.rfftfreq(64)[None, None]
    measured = (torch.rad2deg(torch.atan2(kz, kx)).abs() < 57) & (kx > 0.04) & (kx**2 + kz**2 < 0.15**2)
    measured = measured.expand(truth.shape)
    gain = (spectrum[measured] * truth[measured].conj()).real.sum() / truth[measured].abs().square().sum()
    assert abs(gain - 1) < 0.04


def test_noise_is_empty_in_the_wedge_and_grows_with_frequency():
    seen = ForwardModel(scene((48, 16, 64))).observe(torch.zeros(48, 16, 64), torch.Generator().manual_seed(1))
    power = torch.fft.rfftn(seen.noise[0]).abs().square().mean(1)
    kz, kx = torch.fft.fftfreq(48)[:, None], torch.fft.rfftfreq(64)[None]
    tilt = torch.rad2deg(torch.atan2(kz, kx.clamp(min=1e-9))).abs()
    r = (kz**2 + kx**2).sqrt()
    band = (r > 0.1) & (r < 0.3)
    assert power[band & (tilt > 68)].mean() < 0.03 * power[band & (tilt < 55)].mean()
    inner, outer = (power[(r > a) & (r < a + 0.04) & (tilt < 55)].mean() for a in (0.05, 0.25))
    assert outer > 2.5 * inner


def test_the_halves_average_to_the_tomogram_and_the_snr_is_as_requested():
    v = smooth((32, 32, 48))
    seen = ForwardModel(scene(v.shape)).observe(v, torch.Generator().manual_seed(2))
    first, second = seen.halves(0.2)
    assert_close((first + second) / 2, seen.tomogram(0.2), atol=1e-4, rtol=1e-4)
    assert seen.sigma(0.25) == pytest.approx(2 * seen.contrast)
    noise = [h - seen.signal for h in (first, second)]
    assert abs(torch.corrcoef(torch.stack([n.ravel() for n in noise]))[0, 1]) < 0.1


def test_batches_agree_with_single_volumes():
    volumes = torch.stack([smooth((16, 4, 24), s) for s in (1, 2)])
    geometry = TiltGeometry((-40.0, 0.0, 40.0), 16, 24)
    together = back_project(project(volumes, geometry), geometry)
    for one, volume in zip(together, volumes, strict=True):
        assert_close(one, back_project(project(volume, geometry), geometry), atol=1e-5, rtol=1e-4)


def test_a_chiral_object_keeps_its_handedness():
    """Project and back-project: the result looks like the object and not like its mirror image."""
    z, y, x = torch.meshgrid(torch.arange(40.0) - 20, torch.arange(40.0) - 20, torch.arange(40.0) - 20, indexing="ij")
    angle = torch.arange(0, 4 * np.pi, 0.15)
    helix = sum(
        torch.exp(-((y - 2.3 * (a - 2 * np.pi)) ** 2 + (x - 8 * a.cos()) ** 2 + (z - 8 * a.sin()) ** 2) / 4)
        for a in angle
    )
    geometry = TiltGeometry(TILTS, 40, 40)
    back = back_project(project(helix, geometry), geometry)

    def likeness(a: torch.Tensor) -> float:
        return float(torch.corrcoef(torch.stack([back.ravel(), a.ravel()]))[0, 1])

    mirrored = max(likeness(helix.flip(axis)) for axis in (0, 1, 2))
    assert likeness(helix) > mirrored + 0.2


@pytest.mark.parametrize("weighting", [{"filter": "ramp", "falloff": 0.2}, {"filter": "sirt", "sirt": 10}])
def test_softer_filters_damp_high_frequencies(weighting):
    filters = (RAMP, ReconstructionConfig.model_validate(weighting))
    bare, soft = (projection_weights(f, (-60.0, 0.0, 60.0), 32, 128)[1] for f in filters)
    assert torch.all(soft <= bare + 1e-6)
    assert soft[-1] < 0.6 * bare[-1]


def test_exact_weights_are_the_ramp_where_tilts_are_dense_and_even():
    """Below 1 / (D dt) the slabs of many tilts overlap, and their sum is the integral that the ramp inverts."""
    angles, depth, width = even_tilts(-60, 60, 1), 32, 256
    k = torch.fft.rfftfreq(width)
    inner = (k > 0.1) & (k < 0.45)
    exact = projection_weights(EXACT, angles, depth, width)[len(angles) // 2]
    assert_close(exact[inner], k[inner] * np.deg2rad(1.0), rtol=0.02, atol=0)


def test_exact_weights_of_a_lone_tilt_are_flat():
    """Away from zero frequency it overlaps no other tilt, so its weight is 1 / D for a depth D; at zero, 1 / (N D)."""
    weights = projection_weights(EXACT, (-60.0, -57.0, -54.0, 0.0, 60.0), 40, 128)
    assert_close(weights[3, 8:], torch.full((57,), 1 / 40))
    assert_close(weights[:, 0], torch.full((5,), 1 / 200))


def test_exact_weights_keep_the_gain_beside_a_gap():
    """Five tilts are missing. A ramp divides the gap between the tilts beside it, and its gain is too high there."""
    depth, width = 48, 64
    v = smooth((depth, 8, width))
    angles = tuple(t for t in TILTS if not 9 < t < 24)
    geometry = TiltGeometry(angles, depth, width)
    kz, kx = torch.fft.fftfreq(depth)[:, None, None], torch.fft.rfftfreq(width)[None, None]
    tilt, r = torch.rad2deg(torch.atan2(kz, kx)), (kz**2 + kx**2).sqrt()
    truth = torch.fft.rfftn(v)

    def gain(weighting: ReconstructionConfig, low: float, high: float) -> float:
        back = torch.fft.rfftn(back_project(project(v, geometry), geometry, weighting))
        there = ((tilt > low) & (tilt < high) & (r > 0.03) & (r < 0.2)).expand(truth.shape)
        return float((back[there] * truth[there].conj()).real.sum() / truth[there].abs().square().sum())

    assert gain(EXACT, -40, 0) == pytest.approx(1, abs=0.05)
    assert gain(RAMP, 5, 12) > 1.25
    assert gain(EXACT, 5, 12) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("name", ["ramp", "exact", "sirt", "hann", "hamming"])
def test_all_named_filters_differ(name):
    names = ("ramp", "exact", "sirt", "hann", "hamming")
    weights = {n: projection_weights(ReconstructionConfig(filter=n), TILTS, 32, 128) for n in names}
    others = [weights[n] for n in names if n != name]
    assert all((weights[name] - other).abs().max() > 0.01 * other.max() for other in others)
    low = projection_weights(ReconstructionConfig(filter=name, falloff=0.2), TILTS, 32, 128)
    k = torch.fft.rfftfreq(128)
    assert_close(low, weights[name] * torch.exp(-0.5 * (k / 0.2) ** 2))


def test_parts_of_a_wide_volume_are_reconstructed_at_their_position():
    v = smooth((16, 4, 48))
    whole = TiltGeometry(TILTS, 16, 48)
    series = project(v, whole)
    parts = [
        back_project(series, TiltGeometry(TILTS, 16, stop - start, 48, centre=(start + stop) / 2 - 24))
        for start, stop in ((0, 13), (13, 48))
    ]
    assert_close(torch.cat(parts, dim=-1), back_project(series, whole), atol=1e-5, rtol=1e-4)


def test_impossible_tilts_are_refused():
    with pytest.raises(TiltError, match="expected at least two"):
        TiltGeometry((0.0,), 8, 8)
    for angles in ((3.0, 0.0, -3.0), (-3.0, 0.0, 0.0), (-3.0, 95.0)):
        with pytest.raises(ConfigError, match="expected ascending angles"):
            check(ImagingConfig, {"angles": angles}, "the microscope")


def test_listed_angles_replace_the_range_and_its_step():
    assert tilt_angles(ImagingConfig(tilts=(-6, 6, 6))) == (-6, 0, 6)
    assert tilt_angles(ImagingConfig(tilts=(-6, 6, 6), angles=(-50.5, 3, 40))) == (-50.5, 3, 40)


def dot(a, b):
    return float((a.double() * b.double()).sum())


def test_the_gradients_of_projection_and_back_projection_are_their_adjoints():
    """`<A v, w> = <v, gradient>` for a linear operator A."""
    geometry = TiltGeometry(TILTS, 16, 24)
    v = torch.randn(2, 16, 4, 24, generator=torch.Generator().manual_seed(0), requires_grad=True)
    series = torch.randn(2, 41, 4, 24, generator=torch.Generator().manual_seed(1), requires_grad=True)
    for given, result, other in (
        (v, project(v, geometry), series),
        (series, back_project(series, geometry, ReconstructionConfig()), v),
    ):
        (gradient,) = torch.autograd.grad(result, given, other.detach())
        assert gradient.shape == given.shape
        assert dot(gradient, given.detach()) == pytest.approx(dot(result.detach(), other.detach()), rel=1e-4)


@pytest.mark.parametrize("beyond", [1.0, 1.5])
@pytest.mark.parametrize("ctf", ["none", "phase-flip"])
def test_the_gradient_of_an_observation_is_the_adjoint_of_the_chain(beyond, ctf):
    """`<observe(v), w>` is affine in v: gradient times step is its change, and `<v, gradient>` is `<A v, w>`."""
    if ctf == "phase-flip":
        pytest.importorskip("torch_ctf", reason="makes the CTF")
    imaging = ImagingConfig(tilts=(-60, 60, 10), defocus=None if ctf == "none" else 4.0, dose=3.0, mtf="sinc")
    model = ForwardModel(scene((16, 20, 24), beyond=beyond, imaging=imaging, reconstruction={"ctf": ctf}))
    generator = torch.Generator().manual_seed(2)
    v, step = (torch.randn(model.config.extent, generator=generator) for _ in range(2))
    w, gold = torch.randn(16, 20, 24, generator=generator), torch.rand(v.shape, generator=generator)
    v.requires_grad_()
    signal = model.observe(v, torch.Generator().manual_seed(3), gold).signal
    (signal * w).sum().backward()
    ahead, behind = (model.observe((v + s * step).detach(), torch.Generator(), gold).signal for s in (8, -8))
    assert dot(v.grad, step) == pytest.approx((dot(ahead, w) - dot(behind, w)) / 16, rel=1e-3, abs=1e-3)
    without = model.reconstruct(model.images(v.detach()))
    assert dot(v.grad, v.detach()) == pytest.approx(dot(without, w), rel=1e-3, abs=1e-3)


def test_gradients_flow_to_the_second_order():
    model = ForwardModel(scene((16, 16, 16), imaging=ImagingConfig(tilts=(-60, 60, 20))))
    v = torch.randn(16, 16, 16, generator=torch.Generator().manual_seed(4), requires_grad=True)
    energy = model.reconstruct(model.images(v)).square().sum()
    (first,) = torch.autograd.grad(energy, v, create_graph=True)
    (second,) = torch.autograd.grad((first * v.detach()).sum(), v)
    assert_close(second, first.detach(), rtol=1e-3, atol=1e-4 * float(first.detach().abs().max()))


@pytest.mark.gpu
def test_cuda_gives_the_same_result_as_the_cpu():
    v = smooth((48, 32, 64))
    here, there = (TiltGeometry(TILTS, 48, 64, device=d) for d in ("cpu", "cuda"))
    on_cpu = back_project(project(v, here), here)
    on_gpu = back_project(project(v.cuda(), there), there).cpu()
    assert_close(on_gpu, on_cpu, atol=1e-3 * float(on_cpu.std()), rtol=0)
