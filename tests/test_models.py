"""The autoencoder: shapes, equivariance, and that everything passes through the codes."""

import pytest
import torch
from torch.testing import assert_close

from cryowae.config import ModelConfig
from cryowae.models import Autoencoder, ShuffleDown, ShuffleUp, interpolate_codes
from cryowae.models.weights import load_model
from cryowae.objectives.adversary import LatentDiscriminator
from cryowae.restore.network import MARGINS

SMALL = {"widths": (8, 12, 16), "codes": (2, 3, 4), "down": (1, 1, 1), "up": (1, 1), "decode": (1, 1, 1)}


def network(spatial_dims: int = 3, **changes: object) -> Autoencoder:
    torch.manual_seed(0)
    net = Autoencoder(ModelConfig(**{**SMALL, **changes}), spatial_dims)
    with torch.no_grad():  # far from the initial values, so that every path has an effect
        for p in net.parameters():
            p.add_(0.1 * torch.randn(p.shape))
    return net.eval()


@pytest.mark.parametrize(
    ("dims", "size", "expected"),
    [
        (3, (16, 24, 32), [(2, 8, 12, 16), (3, 4, 6, 8), (4, 2, 3, 4)]),
        (2, (24, 40), [(2, 12, 20), (3, 6, 10), (4, 3, 5)]),
    ],
)
def test_codes_and_output_have_the_expected_shapes(dims, size, expected):
    net = network(dims)
    x = torch.randn(2, 1, *size)
    codes = net.encode(x)
    assert [tuple(c.shape[1:]) for c in codes] == expected
    assert net.decode(codes).shape == x.shape
    assert_close(net(x), net.decode(codes))


@pytest.mark.parametrize("scale", [0, 1, 2])
def test_zeroing_any_scale_changes_the_output(scale):
    net = network()
    codes = net.encode(torch.randn(1, 1, 16, 16, 16))
    whole = net.decode(codes)
    codes[scale] = torch.zeros_like(codes[scale])
    assert (net.decode(codes) - whole).abs().max() > 0.01 * whole.std()


def test_the_codes_are_the_only_input_of_the_decoder():
    """Two observations with the same codes have the same restoration: there is no other path."""
    net = network()
    gradient = torch.autograd.functional.jacobian(
        lambda x: net.decode([c.detach() for c in net.encode(x)]).sum(), torch.randn(1, 1, 8, 8, 8)
    )
    assert gradient.abs().max() == 0


def test_equivariance_to_shifts_by_the_stride_and_the_receptive_field():
    """Interior output does not depend on voxels beyond the receptive field, and moves with shifts by the stride."""
    net = network(widths=(4, 4), codes=(2, 2), down=(1, 1), up=(1,), decode=(1, 1)).double()
    reach, stride = net.receptive_field, net.stride
    assert stride == 4
    size = 2 * reach + 3 * stride
    x = torch.randn(1, 1, size, stride, stride, dtype=torch.float64)
    centre = slice(reach, size - reach - stride)
    changed = x.clone()
    changed[:, :, -stride:] += 3.0
    assert_close(net(x)[:, :, centre][:, :, :stride], net(changed)[:, :, centre][:, :, :stride], atol=1e-9, rtol=0)
    assert (net(x)[:, :, -2 * stride] - net(changed)[:, :, -2 * stride]).abs().max() > 1e-6
    shifted = torch.roll(x, stride, dims=2)
    inner = slice(reach + stride, reach + 2 * stride)
    assert_close(net(shifted)[:, :, inner], net(x)[:, :, reach : reach + stride], atol=1e-9, rtol=0)


def test_shuffles_are_inverse_arrangements():
    """With identity kernels, splitting and joining blocks is the identity."""
    for dims in (2, 3):
        down, up = ShuffleDown(dims, 2**dims), ShuffleUp(dims, 2**dims)
        with torch.no_grad():
            for layer in (down.mix, up.mix):
                layer.weight.zero_()
                layer.bias.zero_()
                for i in range(2**dims):
                    layer.weight[(i, i) + (1,) * dims] = 1.0
        x = torch.randn(2, 1, *(8, 6, 4)[:dims])
        assert_close(up(down(x)), x)


def test_a_fresh_network_starts_without_a_checkerboard():
    net = Autoencoder(ModelConfig(**SMALL), spatial_dims=2)
    out = net(torch.randn(1, 1, 64, 64))[0, 0, 16:48, 16:48]
    blocks = out.reshape(16, 2, 16, 2)
    within = blocks.var(dim=(1, 3)).mean()
    assert within < 1e-8 + 1e-3 * out.var()


def test_small_changes_of_the_batch_do_not_leak_between_samples():
    net = network()
    x = torch.randn(2, 1, 16, 16, 16)
    alone = net(x[:1])
    assert_close(net(x)[:1], alone, atol=1e-5, rtol=1e-4)


def test_interpolation_includes_both_ends():
    net = network()
    a, b = (net.encode(torch.randn(1, 1, 8, 8, 8)) for _ in range(2))
    path = interpolate_codes(a, b, 5)
    assert_close(path[0], a)
    assert_close(path[-1], b)
    assert_close(path[2][0], (a[0] + b[0]) / 2)


def test_discriminator_gives_one_number_per_neighbourhood():
    codes = [torch.randn(2, 3, 6, 6, 6), torch.randn(2, 4, 3, 3, 3)]
    single = LatentDiscriminator(3, (3, 4), neighbourhood=1)(codes)
    cubes = LatentDiscriminator(3, (3, 4), neighbourhood=2)(codes)
    assert [tuple(s.shape) for s in single] == [(2, 1, 6, 6, 6), (2, 1, 3, 3, 3)]
    assert [tuple(s.shape) for s in cubes] == [(2, 1, 5, 5, 5), (2, 1, 2, 2, 2)]


def test_the_shipped_weights_depend_little_on_voxels_beyond_the_widest_margin():
    """A window and the whole volume agree beyond the margin of a cut; otherwise there would be a seam."""
    volume = torch.randn(1, 1, 32, 32, 192, generator=torch.Generator().manual_seed(0))
    for x in range(8, 184, 32):
        volume[..., 10:20, 8:22, x : x + 10] += 3
    model, cut = load_model(device="cpu", half=False), 96
    whole = model(volume)[..., :cut]
    difference = (model(volume[..., :cut]) - whole).square().mean((0, 1, 2, 3)).sqrt() / whole.std()
    assert difference[: cut - MARGINS[0]].max() < 0.005 < 0.02 < difference[cut - 24 :].max()


def test_half_precision_gives_nearly_the_same_result(monkeypatch):
    volume = torch.randn(1, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    volume[..., 10:20, 8:22, 12:20] += 3  # with a molecule, since the result would be 0 without
    exact, half = (load_model(device="cpu", half=flag)(volume) for flag in (False, True))
    assert half.dtype == torch.float32
    assert 0 < float((half - exact).std()) < 0.02 * float(exact.std())
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    assert load_model(device="cpu").half
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    assert not load_model(device="cpu").half
