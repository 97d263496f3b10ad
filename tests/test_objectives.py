"""Distances between codes and prior, and the terms of restoration, against their definitions."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from cryowae.config import ModelConfig
from cryowae.errors import ConfigError
from cryowae.fourier.wedge import Wedge
from cryowae.models import Autoencoder
from cryowae.objectives import Batch, StepInfo
from cryowae.objectives.adversary import Adversary, discriminator_loss, fooling_loss
from cryowae.objectives.fidelity import fidelity
from cryowae.objectives.gradient import gradient
from cryowae.objectives.mmd import SCALES, Mmd, block_kernel, code_samples, mmd, null_quantile
from cryowae.objectives.supervised import Supervised, supervised
from cryowae.objectives.term import Pass


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(5)


def first(n: int) -> torch.Tensor:
    return torch.arange(2 * n) < n


def passed(codes, generator, clean=None) -> Pass:
    """A forward pass with these codes; `clean` are those of the truth."""
    observation = torch.zeros(len(codes[0]), 1, 8, 8, 8)
    made = Pass(Batch(observation), codes, observation, None, generator, StepInfo(0))
    if clean is not None:
        made.__dict__["clean_codes"] = clean
    return made


def correlated(n: int, c: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """Exactly normal codes with correlated neighbours: smoothed white noise of unit variance."""
    white = torch.randn(n, c, size + 2, size + 2, size + 2, generator=generator)
    smooth = torch.nn.functional.avg_pool3d(white, 3, stride=1)
    return smooth * 27**0.5


def test_kernel_against_its_definition(generator):
    x = torch.randn(3, 4, 2, generator=generator, dtype=torch.float64)
    kernel = block_kernel(x)
    expected = np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            values = [
                sum(2 * 2 * s / (2 * 2 * s + float((p - q).square().sum())) for s in SCALES) for p in x[a] for q in x[b]
            ]
            expected[a, b] = np.mean(values)
    assert_close(kernel.double(), torch.from_numpy(expected), atol=1e-4, rtol=1e-4)


def test_mmd_of_correlated_normal_codes_is_zero_within_its_error(generator):
    """The block U-statistic is unbiased where the plain one interprets the correlation of neighbours as a mismatch."""
    values, plain = [], []
    for _ in range(24):
        codes = code_samples(correlated(8, 4, 4, generator), 64, generator)
        blocks = torch.cat([codes, torch.randn(8, 64, 4, generator=generator)])
        values.append(float(mmd(block_kernel(blocks), first(8))))
        flat = blocks.reshape(-1, 1, 4)
        plain.append(float(mmd(block_kernel(flat), first(8 * 64))))
    error = np.std(values) / len(values) ** 0.5
    assert abs(np.mean(values)) < 3 * error
    assert min(values) < 0 < max(values)
    assert np.mean(plain) > 5 * np.std(plain) / len(plain) ** 0.5


@pytest.mark.parametrize("change", [lambda z: z + 0.7, lambda z: 0.5 * z, lambda z: z.sign()])
def test_mmd_detects_a_wrong_mean_width_and_shape(change, generator):
    codes = change(torch.randn(16, 32, 4, generator=generator))
    kernel = block_kernel(torch.cat([codes, torch.randn(16, 32, 4, generator=generator)]))
    assert mmd(kernel, first(16)) > 2 * null_quantile(kernel, 16, generator)


def test_null_quantile_covers_equal_laws(generator):
    below = 0
    for _ in range(60):
        kernel = block_kernel(torch.randn(16, 16, 3, generator=generator))
        below += float(mmd(kernel, first(8))) < null_quantile(kernel, 8, generator, draws=100)
    assert 0.85 <= below / 60 <= 1.0


def test_null_quantile_is_that_of_mmd_of_shuffled_blocks(generator):
    kernel = block_kernel(torch.randn(14, 3, 5, generator=generator))
    expected, shuffles = [], torch.Generator().manual_seed(1)
    for _ in range(200):
        chosen = torch.zeros(14, dtype=torch.bool)
        chosen[torch.randperm(14, generator=shuffles)[:6]] = True
        expected.append(mmd(kernel, chosen))
    found = null_quantile(kernel, 6, torch.Generator().manual_seed(1), level=0.8)
    assert found == pytest.approx(float(torch.stack(expected).quantile(0.8)), rel=1e-4)


def test_neighbourhood_samples_are_cubes(generator):
    code = torch.arange(2 * 3 * 4 * 4 * 4, dtype=torch.float32).view(2, 3, 4, 4, 4)
    samples = code_samples(code, 10, generator, neighbourhood=2)
    assert samples.shape == (2, 10, 24)
    corner = samples[0, 0].view(3, 2, 2, 2)
    assert_close(corner[0, 0, 0, 1] - corner[0, 0, 0, 0], torch.tensor(1.0))
    assert_close(corner[0, 1, 0, 0] - corner[0, 0, 0, 0], torch.tensor(16.0))
    assert_close(corner[1, 0, 0, 0] - corner[0, 0, 0, 0], torch.tensor(64.0))


def test_mmd_pulls_codes_to_the_prior(generator):
    codes = torch.nn.Parameter(1 + 0.3 * torch.randn(8, 2, 4, 4, 4, generator=generator))
    match = Mmd(weight=1.0, positions=32)
    optimiser = torch.optim.Adam([codes], lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        match.cost(passed([codes], generator))[0].backward()
        optimiser.step()
    assert abs(float(codes.detach().mean())) < 0.45
    assert 0.75 < float(codes.detach().std()) < 1.25


def test_smaller_codes_do_not_match_the_structure_prior(generator):
    """Codes and prior are compared at the prior's own scale, so smaller codes do not reduce the distance."""
    clean, noisy = torch.randn(8, 2, 4, 4, 4, generator=generator), torch.randn(8, 2, 4, 4, 4, generator=generator) + 1
    match = Mmd(prior="structure", weight=1.0)
    distances = []
    for scale in (1.0, 1e-2):
        made = passed([scale * noisy], torch.Generator().manual_seed(0), [scale * clean])
        distances.append(match.cost(made)[1]["match_2"])
    assert distances[1] == pytest.approx(distances[0], rel=1e-3)
    assert distances[0] > 0.05


def test_the_discriminator_learns_and_the_encoder_fools_it(generator):
    torch.manual_seed(0)

    match = Adversary(weight=1.0, neighbourhood=2, rate=3e-3)
    match.prepare(Autoencoder(ModelConfig(widths=(4,), codes=(2,), down=(1,), up=(), decode=(1,))))
    codes = [0.3 * torch.randn(8, 2, 4, 4, 4, generator=generator) + 1]
    for _ in range(80):
        made = passed(codes, generator)
        match.cost(made)
        match.optimiser.zero_grad()
        match.oppose(made)[0].backward()
        match.optimiser.step(1.0)
    match.cost(made := passed(codes, generator))
    assert float(match.oppose(made)[0].detach()) < 0.3
    moving = codes[0].clone().requires_grad_()
    loss, values = match.cost(passed([moving], generator))
    loss.backward()
    assert values["match_2"] > 0.9
    assert moving.grad is not None
    assert all(p.grad is None or p.requires_grad for p in match.discriminator.parameters())


def test_discriminator_losses_for_logits_of_zero():
    zero = [torch.zeros(2, 1, 3, 3, 3)]
    assert float(discriminator_loss(zero, zero)) == pytest.approx(np.log(2))
    assert float(fooling_loss(zero)) == pytest.approx(np.log(2))


def test_a_term_without_its_data_is_an_error(generator):
    with pytest.raises(ConfigError, match="needs `truth` in every batch, and this source has none"):
        Supervised().cost(passed([torch.zeros(1, 1, 2, 2, 2)], generator))


def test_supervised_error_is_in_units_of_the_contrast():
    truth = torch.zeros(2, 1, 4, 4, 4)
    restored = torch.stack([torch.full((1, 4, 4, 4), 0.1), torch.full((1, 4, 4, 4), 0.4)])
    assert float(supervised(restored, truth, torch.tensor([0.1, 0.4]))) == pytest.approx(1.0)


def test_fidelity_ignores_the_wedge_and_compares_the_rest():
    shape = (32, 32, 32)
    z, x = (torch.arange(32.0)[:, None, None], torch.arange(32.0)[None, None])
    measured = Wedge.binary(-60, 60).mask(shape)[None, None]

    def loss(wave):
        return float(fidelity(wave.expand(shape)[None, None], torch.zeros(1, 1, *shape), measured))

    inside = loss(torch.cos(2 * torch.pi * (8 * z + 1 * x) / 32))
    outside = loss(torch.cos(2 * torch.pi * (2 * z + 8 * x) / 32))
    assert outside == pytest.approx(0.5, rel=0.1)
    assert inside < 0.05 * outside


@pytest.mark.parametrize("edge", [32, 64])
def test_fidelity_keeps_the_contrast_of_a_structure(edge):
    """Without noise, the best multiple of the true structure is near 1, although the data were cut after the wedge."""
    generator = torch.Generator().manual_seed(0)
    white = torch.randn(4, 128, 128, 128, generator=generator)
    k = torch.fft.fftfreq(128)
    radius = (k[:, None, None] ** 2 + k[:, None] ** 2 + k[:65] ** 2).sqrt()
    wide = torch.fft.irfftn(torch.fft.rfftn(white, dim=(1, 2, 3)) * torch.exp(-((radius / 0.15) ** 2)), dim=(1, 2, 3))
    truth, half = (v[:, None, :edge, :edge, :edge] for v in (wide, Wedge.binary(-60, 60).apply(wide)))
    measured = Wedge.binary(-60, 60).mask((edge,) * 3)[None, None]
    zero, middle, one = (float(fidelity(share * truth, half, measured)) for share in (0, 0.5, 1))
    curve = 2 * (one - 2 * middle + zero)
    assert (curve - (one - zero)) / (2 * curve) == pytest.approx(1, abs=0.04)
    assert one < 0.1 * zero


def test_fidelity_does_not_compare_the_solvent():
    generator = torch.Generator().manual_seed(0)
    restored, half = (torch.randn(2, 1, 16, 16, 16, generator=generator) for _ in range(2))
    measured = Wedge.binary(-60, 60).mask((16, 16, 16))[None, None]
    assert_close(fidelity(restored + 5, half, measured), fidelity(restored, half, measured), rtol=1e-4, atol=0)


def test_fidelity_to_an_independent_half_prefers_the_clean_signal():
    """Noise2noise: against another noisy half, the clean signal scores better than the noisy half itself."""
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(1, 1, 16, 16, 16, generator=generator)
    halves = [signal + torch.randn(signal.shape, generator=generator) for _ in range(2)]
    measured = Wedge.binary(-60, 60).mask((16, 16, 16))[None, None]
    assert fidelity(signal, halves[1], measured) < 0.7 * fidelity(halves[0], halves[1], measured)


def test_gradient_weights_the_error_by_its_frequency():
    """A plane wave of frequency k costs `4 sin(pi k)^2` times what it costs in the squared error."""
    x = torch.arange(40.0)
    truth, scale = torch.zeros(1, 1, 8, 8, 40), torch.tensor([0.5])
    for cycles in (2, 8, 20):
        wave = torch.cos(2 * torch.pi * cycles * x / 40 + 0.3).expand(1, 1, 8, 8, 40)
        periodic = torch.cat([wave, wave[..., :1]], -1)  # 40 differences, all of them
        expected = 4 * np.sin(np.pi * cycles / 40) ** 2 * float(supervised(wave, truth, scale))
        assert float(gradient(periodic, torch.zeros_like(periodic), scale)) == pytest.approx(expected, rel=1e-4)
    constant = torch.full_like(truth, 3.0)
    assert float(gradient(constant, truth, scale)) == 0
