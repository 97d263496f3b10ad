"""Windows must leave no seams: the tiled result is the result of one pass."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cryowae.errors import ConfigError, TomogramError
from cryowae.progress import Progress
from cryowae.restore.tiling import apply_tiled, read_window
from cryowae.restore.windows import Tiling, plan_windows

SHAPES = [(7, 9, 11), (5, 40, 50), (1, 1, 1), (24, 37, 52), (64, 64, 64), (3, 100, 17)]


class Strided(nn.Module):
    """Stride 4; an output voxel depends on at most 4 * 1 + 3 + 1 voxels around it."""

    stride, receptive_field = 4, 8

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Conv3d(1, 6, 4, stride=4)
        self.middle = nn.Conv3d(6, 6, 3, padding=1)
        self.up = nn.ConvTranspose3d(6, 1, 4, stride=4)

    def forward(self, x: Tensor, start: object = None) -> Tensor:
        out: Tensor = self.up(torch.tanh(self.middle(torch.tanh(self.down(x)))))
        return out


class Diary(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def identity(x: Tensor, start: object) -> Tensor:
    return x


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", [None, 16, 32, (8, 24, 40)])
def test_identity_model_returns_the_input(shape, window):
    volume, out = noise(shape), np.full(shape, 7, dtype=np.float32)
    apply_tiled(identity, volume, out, Tiling(window=window, max_voxels=40**3))
    assert np.abs(out - volume).max() < 1e-5


@pytest.mark.parametrize("shape", [(24, 37, 52), (5, 64, 90), (64, 64, 64)])
def test_a_margin_of_the_receptive_field_gives_the_result_of_one_pass(shape):
    model, volume, out = Strided().eval(), noise(shape), np.empty(shape, dtype=np.float32)
    plan = apply_tiled(model, volume, out, Tiling(stride=4, margin=model.receptive_field, max_voxels=32 * 32 * 32))
    assert len(plan) > 1
    pad = [p for n in reversed(shape) for p in (0, -n % 4)]
    padded = torch.nn.functional.pad(torch.from_numpy(volume)[None, None], pad, mode="reflect")
    with torch.inference_mode():
        whole = model(padded)[0, 0, : shape[0], : shape[1], : shape[2]].numpy()
    assert np.abs(out - whole).max() < 1e-5 * whole.std()


@pytest.mark.parametrize("shape", [(32, 64, 96), (64, 72, 80)])
def test_windows_give_the_result_of_monai(shape):
    """MONAI weights windows by Gaussians: errors at inner faces nearly vanish, except along the volume's own faces."""
    inferers = pytest.importorskip("monai.inferers")
    model, volume, out = Strided().eval(), noise(shape), np.empty(shape, dtype=np.float32)
    apply_tiled(model, volume, out, Tiling(stride=4, margin=model.receptive_field, window=32))
    batch = torch.from_numpy(volume)[None, None]
    with torch.inference_mode():
        theirs, seams = (
            inferers.sliding_window_inference(batch, (32, 32, 32), 1, model, overlap, mode)[0, 0].numpy()
            for overlap, mode in ((0.5, "gaussian"), (0, "constant"))
        )
    inner = (slice(12, -12),) * 3
    right, wrong = (np.std((out - other)[inner]) / out[inner].std() for other in (theirs, seams))
    assert right < 0.02 and wrong > 0.2


def test_a_margin_that_is_too_small_leaves_a_seam():
    model, volume = Strided().eval(), noise((16, 16, 96))
    answers = [np.empty_like(volume) for _ in range(2)]
    apply_tiled(model, volume, answers[0], Tiling(stride=4))
    apply_tiled(model, volume, answers[1], Tiling(stride=4, window=(16, 16, 32), overlap=0))
    difference = np.abs(answers[0] - answers[1]).max(axis=(0, 1))
    assert difference[28:36].max() > 1e-3 and difference[12:20].max() < 1e-5


@pytest.mark.parametrize("shape", [*SHAPES, (256, 512, 512), (1200, 4096, 4096), (80, 300, 320)])
@pytest.mark.parametrize("margin", [0, 8, 24])
def test_plan_covers_the_volume_with_windows_on_the_stride(shape, margin):
    plan = plan_windows(shape, Tiling(stride=8, margin=margin, max_voxels=2**23))
    assert math.prod(plan.window) <= 2**23
    for axis in range(3):
        starts, w, m = plan.starts[axis], plan.window[axis], plan.margin[axis]
        assert w % 8 == 0 and all(s % 8 == 0 for s in starts)
        assert starts[0] == 0 and starts[-1] + w == -(-shape[axis] // 8) * 8
        assert all(b - a <= w - 2 * m for a, b in zip(starts, starts[1:], strict=False))
        assert m == (margin if len(starts) > 1 else 0)


def test_weights_sum_to_one_and_vanish_in_the_margin():
    plan = plan_windows((16, 16, 200), Tiling(window=(16, 16, 64), overlap=40))
    rows = np.zeros(200)
    for start, weight in zip(plan.starts[2], plan.weights(2), strict=True):
        rows[start : start + 64] += weight
    assert np.allclose(rows, 1, atol=1e-6)
    assert plan.margin[2] == 16
    inner = plan.weights(2)[1]
    assert (inner[:16] == 0).all() and (inner[-16:] == 0).all() and inner[32] == 1


@pytest.mark.parametrize(
    ("shape", "cost"),
    [
        ((256, 512, 512), 1.4),
        ((80, 300, 320), 1.02),
        ((256, 256, 256), 1.0),
        ((256, 1024, 1024), 1.6),
        ((1200, 4096, 4096), 2.0),
    ],
)
def test_no_more_than_two_network_voxels_per_voxel(shape, cost):
    assert plan_windows(shape, Tiling()).network_voxels_per_voxel <= cost


def test_reflection_continues_volumes_shorter_than_the_padding():
    line = np.arange(3, dtype=np.float32)[:, None, None]
    assert read_window(line, (0, 0, 0), (8, 2, 1))[:, 1, 0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1]


def test_constant_regions_stay_constant():
    volume = noise((16, 48, 48))
    volume[:, :, 20:] = -3
    out = np.empty_like(volume)
    apply_tiled(identity, volume, out, Tiling(window=24))
    assert np.abs(out[:, :, 20:] + 3).max() < 1e-5


def test_reads_integers_and_mapped_files_block_by_block(tmp_path):
    volume = (noise((20, 30, 40)) * 100).astype(np.int16)
    asked = []

    class Mapped:
        shape = volume.shape

        def __getitem__(self, key):
            asked.append(volume[key].size)
            return volume[key]

    out = np.memmap(tmp_path / "out", dtype=np.float32, mode="w+", shape=volume.shape)
    plan = apply_tiled(identity, Mapped(), out, Tiling(window=16))
    assert np.abs(out - volume).max() < 1e-5 * 100
    assert len(asked) == len(plan) and max(asked) <= 16**3


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_out_of_memory_halves_the_window_and_is_reported(error):
    def greedy(x: Tensor, start: object) -> Tensor:
        if x.numel() > 30**3:
            raise error
        return x

    volume, diary = noise((48, 64, 64)), Diary()
    out = np.empty_like(volume)
    plan = apply_tiled(greedy, volume, out, Tiling(margin=8), progress=diary)
    assert np.abs(out - volume).max() < 1e-5
    assert math.prod(plan.window) <= 30**3
    assert diary.said and all("Out of memory" in line for line in diary.said)
    assert "48x64x64" in diary.said[0]


def test_out_of_memory_at_the_smallest_window_is_one_clear_error():
    def hopeless(x: Tensor, start: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(TomogramError, match="does not fit into the memory"):
        apply_tiled(hopeless, noise((32, 32, 32)), np.empty((32, 32, 32), dtype=np.float32))


def test_other_errors_of_the_model_are_not_caught():
    def broken(x: Tensor, start: object) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="multiplied"):
        apply_tiled(broken, noise((8, 8, 8)), np.empty((8, 8, 8), dtype=np.float32))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"window": 0}, "positive"), ({"window": 32, "overlap": 32}, "at most 24"), ({"overlap": -1}, "0 or more")],
)
def test_impossible_windows_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        plan_windows((64, 64, 64), Tiling(**options))
