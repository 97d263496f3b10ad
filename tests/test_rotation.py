"""Rotations are proper, uniform and about the centre, and have the direction of their matrices."""

import pytest
import torch
from torch.testing import assert_close

from cryowae.fourier.rotation import HALF_TURNS, draw_rotations, random_rotations, rotate, rotate_finely


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


def test_random_rotations_are_proper_and_uniform(generator):
    r = random_rotations(4000, generator)
    assert_close(r @ r.transpose(1, 2), torch.eye(3).expand(4000, 3, 3), atol=1e-5, rtol=0)
    assert_close(torch.linalg.det(r), torch.ones(4000), atol=1e-5, rtol=0)
    # under the Haar measure every entry has mean 0 and variance 1/3
    assert r.mean(0).abs().max() < 0.04
    assert (r.square().mean(0) - 1 / 3).abs().max() < 0.03


def test_a_quarter_turn_moves_voxels_as_its_matrix_does(generator):
    v = torch.randn(1, 7, 9, 9, generator=generator)
    about_z = torch.tensor([[[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]])  # y' = -x, x' = y
    z, y, x = torch.meshgrid(torch.arange(7), torch.arange(9), torch.arange(9), indexing="ij")
    assert_close(rotate(v, about_z)[0], v[0][z, x, 8 - y], atol=1e-5, rtol=0)


def test_half_turns_are_flips_of_two_axes(generator):
    v = torch.randn(1, 6, 8, 10, generator=generator)
    for signs, axes in zip(((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)), HALF_TURNS, strict=True):
        matrix = torch.diag(torch.tensor(signs, dtype=torch.float32))
        assert_close(rotate(v, matrix[None]), v.flip(axes) if axes else v, atol=1e-5, rtol=0)


def test_shift_and_box(generator):
    v = torch.randn(1, 5, 5, 5, generator=generator)
    out = rotate(v, torch.eye(3)[None], shape=(9, 11, 13), shift=torch.tensor([[1.0, -2.0, 3.0]]))
    assert_close(out[0, 3:8, 1:6, 7:12], v[0], atol=1e-5, rtol=0)
    assert_close(out.abs().sum(), v.abs().sum(), rtol=1e-5, atol=0)


def test_scale_magnifies():
    z, y, x = torch.meshgrid(*[torch.arange(33.0) - 16] * 3, indexing="ij")
    ball = torch.exp(-(z**2 + y**2 + x**2) / (2 * 3.0**2))[None]
    large = torch.exp(-(z**2 + y**2 + x**2) / (2 * 6.0**2))[None]
    assert_close(rotate(ball, torch.eye(3)[None], scale=2.0), large, atol=0.04, rtol=0)


def test_rotation_and_inverse_rotation_keep_a_smooth_volume(generator):
    z, y, x = torch.meshgrid(*[torch.arange(32.0) - 15.5] * 3, indexing="ij")
    v = sum(
        torch.exp(-((z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2) / 18)
        for a, b, c in ((4, 0, 1), (-3, 5, 2), (0, -4, -5))
    )
    r = random_rotations(1, generator)
    back = rotate(rotate(v[None], r), r.transpose(1, 2))[0]
    assert torch.corrcoef(torch.stack([back.ravel(), v.ravel()]))[0, 1] > 0.995


def test_rotations_keep_the_handedness(generator):
    """No rotation turns a chiral object into its mirror image."""
    z, y, x = torch.meshgrid(*[torch.arange(24.0) - 11.5] * 3, indexing="ij")
    spots = ((0, 0, 0), (7, 0, 0), (0, 5, 0), (0, 2, 6))
    v = sum((i + 1) * torch.exp(-((z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2) / 5) for i, (a, b, c) in enumerate(spots))
    turned = rotate(v.expand(300, -1, -1, -1), random_rotations(300, generator))
    fine = rotate(v.flip(0).expand(300, -1, -1, -1), random_rotations(300, generator))
    norm = v.norm() ** 2
    assert (turned * v).sum((1, 2, 3)).max() / norm > (fine * v).sum((1, 2, 3)).max() / norm + 0.02


@pytest.mark.parametrize("group", ["full", "about-z", "half-turns"])
def test_groups_have_proper_rotations_only(group, generator):
    r = draw_rotations(group, 500, generator)
    assert_close(r @ r.transpose(1, 2), torch.eye(3).expand(500, 3, 3), atol=1e-5, rtol=0)
    assert_close(torch.linalg.det(r), torch.ones(500), atol=1e-5, rtol=0)
    assert_close(r.mean(0), torch.zeros(3, 3), atol=0.15, rtol=0)  # of the uniform law on each group


def test_rotations_about_z_keep_the_beam_up_to_its_sign(generator):
    r = draw_rotations("about-z", 2000, generator)
    assert_close(r[:, 0, 0].abs(), torch.ones(2000))
    assert r[:, 0, 1:].abs().max() == 0 and r[:, 1:, 0].abs().max() == 0
    assert 0.45 < (r[:, 0, 0] > 0).float().mean() < 0.55
    upright = r[r[:, 0, 0] > 0]
    angles = torch.atan2(upright[:, 2, 1], upright[:, 1, 1])
    assert torch.histc(angles, 8, -torch.pi, torch.pi).min() > 0.7 * len(upright) / 8


def test_half_turns_are_the_four_of_the_flips(generator):
    v = torch.randn(1, 6, 6, 6, generator=generator)
    found = {tuple(m.diagonal().tolist()) for m in draw_rotations("half-turns", 200, generator)}
    assert len(found) == 4
    turned = sorted(float(rotate(v, torch.diag(torch.tensor(s))[None])[0, 0, 0, 0]) for s in found)
    assert turned == pytest.approx(
        sorted(float(v.flip(a)[0, 0, 0, 0] if a else v[0, 0, 0, 0]) for a in HALF_TURNS), abs=1e-5
    )


@pytest.mark.parametrize("cycles", [0.05, 0.25, 0.4])
def test_fine_rotation_keeps_waves_of_every_frequency(cycles, generator):
    """A wave along a random direction becomes the wave along the rotated direction, with its phase and amplitude."""
    n, r = 40, random_rotations(4, generator)
    axis = torch.arange(n) - (n - 1) / 2
    places = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    direction = torch.nn.functional.normalize(torch.randn(4, 3, generator=generator), dim=1)

    def waves(along):
        return torch.cos(2 * torch.pi * cycles * torch.einsum("zyxc,nc->nzyx", places, along) + 0.4)

    middle = (slice(None), *[slice(14, 26)] * 3)
    faded = waves(direction)
    for axis_shape in ((-1, 1, 1), (-1, 1), (-1,)):  # towards the faces, which the spectrum joins
        faded = faded * (2 * torch.hann_window(n)).clamp(max=1).view(axis_shape)
    fine, expected = rotate_finely(faded, r)[middle], waves((r @ direction[:, :, None])[:, :, 0])[middle]
    assert (fine * expected).mean() / expected.square().mean() == pytest.approx(1, abs=0.02)
    assert (fine - expected).square().mean() < 0.02 * expected.square().mean()


def test_fine_rotation_keeps_the_power_of_noise_and_the_centre(generator):
    noise = torch.randn(2, 32, 32, 32, generator=generator)
    assert rotate_finely(noise, random_rotations(2, generator), shape=(16, 16, 16)).std() == pytest.approx(1, abs=0.04)
    assert_close(
        rotate_finely(noise, torch.eye(3).expand(2, 3, 3))[:, 8:24, 8:24, 8:24].mean(),
        noise[:, 8:24, 8:24, 8:24].mean(),
        atol=0.01,
        rtol=0,
    )
