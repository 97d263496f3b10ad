"""Rotations are proper, uniform and about the centre, and have the direction of their matrices."""

import pytest
import torch
from torch.testing import assert_close

from cryowae.fourier.rotation import HALF_TURNS, random_rotations, rotate


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
