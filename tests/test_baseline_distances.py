"""Distances between sets of samples, mixtures and principal components, compared with closed forms."""

from __future__ import annotations

import math
import sys

import pytest
import torch

from cryowae.baselines.comparison import principal_components
from cryowae.baselines.distances import (
    MISMATCHES,
    frechet_distance,
    kernel_distance,
    sliced_wasserstein,
    sweep_bandwidths,
    write_bandwidths,
)
from cryowae.baselines.evaluate import Evaluation, fit_mixture
from cryowae.baselines.plots import draw_bandwidths
from cryowae.data.images import ImageSet, signed
from cryowae.errors import ConfigError
from cryowae.train.state import read_rows


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(7)


def with_moments(n: int, mean: torch.Tensor, root: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Samples whose mean and covariance are exactly `mean` and `root @ root.T`."""
    x = torch.randn(n, len(mean), generator=generator, dtype=torch.float64)
    x = x - x.mean(0)
    white = x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T
    return white @ root.T + mean


def test_frechet_distance_of_a_set_with_itself_is_zero(generator):
    x = torch.randn(300, 12, generator=generator)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_gaussians_with_the_same_axes(generator):
    """`|m_a - m_b|^2 + sum (s_a - s_b)^2` (Dowson & Landau 1982) where the covariances commute."""
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64)).Q
    spreads = torch.tensor([[1.0, 2.0, 0.5, 3.0], [2.0, 2.0, 0.1, 1.0]], dtype=torch.float64)
    means = torch.tensor([[0.0, 1.0, 0.0, 2.0], [1.0, 1.0, 3.0, 0.0]], dtype=torch.float64)
    a, b = (with_moments(500, m, turn @ torch.diag(s), generator) for m, s in zip(means, spreads, strict=True))
    expected = float((means[0] - means[1]).square().sum() + (spreads[0] - spreads[1]).square().sum())
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_of_singular_covariances(generator):
    """Covariances of rank one in twenty dimensions, along perpendicular axes: no overlap."""
    line = torch.randn(100, 1, generator=generator, dtype=torch.float64)
    a, b = torch.zeros(2, 100, 20, dtype=torch.float64)
    a[:, :1], b[:, 1:2] = line, line
    assert frechet_distance(a, b) == pytest.approx(2 * float(line.var() + line.mean() ** 2), rel=1e-6)


def test_frechet_distance_against_torchmetrics(generator):
    fid = pytest.importorskip("torchmetrics.image.fid", reason="the extra `test` is not installed")
    a, b = torch.randn(400, 10, generator=generator), 0.5 * torch.randn(400, 10, generator=generator) + 0.3
    features = torch.nn.Identity()
    features.num_features = 10
    oracle = fid.FrechetInceptionDistance(feature=features)
    oracle.update(a, real=True)
    oracle.update(b, real=False)
    assert float(oracle.compute()) == pytest.approx(frechet_distance(a, b), rel=1e-3)


def test_kernel_distance_is_unbiased_and_detects_a_shift(generator):
    a, b = torch.randn(2, 400, 5, generator=generator)
    same, spread = kernel_distance(a, b, generator, subset=200, subsets=20)
    other, _ = kernel_distance(a, b + 0.7, generator, subset=200, subsets=20)
    assert abs(same) < 3 * spread and other > 0.5


def test_sliced_wasserstein_of_a_shift(generator):
    """Along a direction, a shift by `t` is `t` times a cosine; the root mean square is `|t| / sqrt(d)`."""
    x = torch.randn(500, 3, generator=generator)
    assert sliced_wasserstein(x, x.flip(0), generator) == 0
    shift = torch.tensor([0.0, 2.0, 0.0])
    assert sliced_wasserstein(x, x + shift, generator, directions=4000) == pytest.approx(2 / 3**0.5, rel=0.05)


def test_a_mixture_finds_its_components(generator):
    centres = torch.tensor([[-4.0, 0.0], [4.0, 1.0], [0.0, 6.0]])
    roots = torch.tensor([[[0.5, 0.0], [0.4, 0.3]], [[1.0, 0.0], [0.0, 0.2]], [[0.3, 0.0], [0.0, 0.3]]])
    noise = torch.randn(3, 600, 2, generator=generator)
    x = torch.cat([n @ r.T + c for n, r, c in zip(noise, roots, centres, strict=True)])
    found = fit_mixture(x, 3, generator)
    means, weights, covariances = (
        torch.from_numpy(part).float() for part in (found.means_, found.weights_, found.covariances_)
    )
    order = [int((means - c).norm(dim=1).argmin()) for c in centres]
    assert sorted(order) == [0, 1, 2]
    assert torch.allclose(means[order], centres, atol=0.15)
    assert torch.allclose(weights, torch.full((3,), 1 / 3), atol=0.02)
    assert torch.allclose(covariances[order], roots @ roots.mT, atol=0.12)
    drawn = torch.from_numpy(found.sample(3000)[0])
    assert frechet_distance(drawn, x) < 0.05
    assert found.score(drawn.numpy()) == pytest.approx(found.score(x.double().numpy()), abs=0.1)


def test_a_mixture_of_one_is_the_gaussian_with_the_moments_of_the_codes(generator):
    x = torch.randn(500, 2, generator=generator, dtype=torch.float64) @ torch.tensor([[1.0, 0.5], [0.0, 2.0]]).double()
    found = fit_mixture(x.float(), 1, generator)
    expected = torch.distributions.MultivariateNormal(x.mean(0), torch.cov(x.T, correction=0)).log_prob(x)
    assert torch.allclose(torch.from_numpy(found.score_samples(x.numpy())), expected, atol=1e-4)


def test_a_mixture_depends_on_the_generator_alone(generator):
    x = torch.randn(200, 3, generator=generator)
    first, again, other = (fit_mixture(x, 4, torch.Generator().manual_seed(seed)).sample(50)[0] for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_a_mixture_of_codes_that_collapsed_to_a_point(generator):
    assert abs(fit_mixture(torch.ones(50, 3), 10, generator).sample(20)[0] - 1).max() < 1e-3


def test_missing_scikit_learn_is_reported_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    images = torch.zeros(20, 1, 4, 4, dtype=torch.uint8)
    for call in (
        lambda: fit_mixture(torch.ones(50, 3), 10, torch.Generator()),
        lambda: principal_components(images, images, 3, torch.Generator()),
        lambda: Evaluation(ImageSet("digits", images), ImageSet("digits", images)),  # before any training
    ):
        with pytest.raises(ConfigError, match=r'pip install "cryowae\[baselines\]"') as told:
            call()
        assert "\n" not in str(told.value)


def test_principal_components_of_images_in_a_plane(generator):
    """Images that are sums of three patterns need three components and no more."""
    patterns = torch.randn(3, 16, generator=generator) * 0.2
    images = ((torch.randn(400, 3, generator=generator) @ patterns).clamp(-1, 1) + 1) * 127.5
    images = images.round().to(torch.uint8).view(-1, 1, 4, 4)
    made = {k: principal_components(images, images.repeat(5, 1, 1, 1), k, generator) for k in (1, 3)}
    errors = {k: float((signed(again[:400]) - signed(images)).square().mean()) for k, (again, _) in made.items()}
    assert errors[3] < 0.01 < errors[1]
    drawn = made[3][1]
    assert drawn.shape == (2000, 1, 4, 4) and drawn.dtype == torch.uint8
    assert torch.allclose(signed(drawn).mean(0), signed(images).mean(0), atol=0.05)


@pytest.mark.parametrize("name", MISMATCHES)
def test_mismatches_have_their_moments(name, generator):
    x = MISMATCHES[name](20_000, 4, generator)
    mean, covariance = x.mean(0), torch.cov(x.T)
    if name == "lumps":  # the first two moments are those of the prior
        assert torch.allclose(mean, torch.zeros(4), atol=0.03)
        assert torch.allclose(covariance, torch.eye(4), atol=0.05)
        assert float((x[:, 0].abs() < 0.3).float().mean()) < 0.05
    elif name == "shifted":
        assert torch.allclose(mean, torch.full((4,), 0.25), atol=0.03)
    else:
        assert float(covariance.diagonal()[2:].max()) < 0.02


def test_a_kernel_that_is_too_narrow_has_no_power():
    """All its values are exactly 0, and so is the quantile by which the ratio is divided."""
    found = sweep_bandwidths(d=64, batch=2, bandwidths=(1e-3,), draws=20)
    assert all(math.isnan(s.ratio) and s.power == 0 for s in found if s.kernel == "gaussian" and s.bandwidth)


def test_a_good_bandwidth_has_power_and_a_bad_one_has_none(tmp_path):
    found = sweep_bandwidths(d=2, batch=128, bandwidths=(1e-6, 0.1, 1e4), draws=40)
    power = {(s.mismatch, s.kernel, s.bandwidth): s.power for s in found}
    for kernel in ("imq", "gaussian"):
        assert power["lumps", kernel, 0.1] > 0.9
        assert power["lumps", kernel, 1e4] < 0.3  # so wide a kernel compares means only, and these are equal
    assert power["lumps", "gaussian", 1e-6] < 0.3  # for so narrow a kernel no two codes are near
    assert len(read_rows(write_bandwidths(found, tmp_path / "b.csv"))) == len(found)
    assert draw_bandwidths(found, tmp_path / "b.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
