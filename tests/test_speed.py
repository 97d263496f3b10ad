"""What `benchmark speed` says of cost: the figures are measured, the ratios are theirs, and memory is memory."""

from __future__ import annotations

import dataclasses
import mmap
import time

import numpy as np
import pytest
import torch
from cryowae.benchmark.work import Work
from torch import Tensor, nn

from cryowae.benchmark import speed
from cryowae.benchmark.speed import PeakMemory, SpeedRow, format_speed, measure_speed
from cryowae.models.weights import RestorationModel
from cryowae.tomogram import open_tomogram

SIZE = (24, 40, 48)


class Slow:
    """A model without weights that takes its time and its memory."""

    stride, receptive_field, voxel_sizes, name, device = 8, 8, (8.0, 20.0), "slow", torch.device("cpu")

    def __init__(self, held: int) -> None:
        self.held = held

    def __call__(self, window: Tensor, /) -> Tensor:
        if window.numel() > 8**3:  # not while it is warmed up
            with fresh_memory(self.held):
                time.sleep(0.2)
        return window


def fresh_memory(size: int) -> mmap.mmap:
    """Bytes from the system itself: an array might get what earlier tests gave back to the process alone."""
    block = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, size, mmap.PAGESIZE):
        block[page] = 1
    return block


def test_a_row_is_what_was_measured(monkeypatch):
    plain = speed.gaussian_filter
    seen = []

    def filtered(volume, sigma):
        seen.append((volume.shape, volume.dtype, sigma))
        time.sleep(0.1)
        return plain(volume, sigma)

    monkeypatch.setattr(speed, "gaussian_filter", filtered)
    (lean,) = measure_speed([SIZE], "cpu", Slow(held=0))  # gives back what earlier work has left
    (row,) = measure_speed([SIZE], "cpu", Slow(held=100_000_000))
    assert seen == [(SIZE, np.float32, 2.0)] * 2
    assert row.shape == SIZE and row.model == "slow" and row.device.startswith("cpu, ")
    assert row.reference_seconds >= 0.1 and row.seconds >= 0.2 and row.cpu_seconds > 0
    assert row.time_ratio == row.seconds / row.reference_seconds
    assert row.volume_bytes == 4 * 24 * 40 * 48 and row.memory_ratio == row.memory / row.volume_bytes
    assert row.memory - lean.memory == pytest.approx(100e6, abs=30e6)
    assert row.network_voxels_per_voxel >= 1
    assert (row.rate, row.device_memory, row.compute_share) == (None, None, None)


def test_mapped_files_are_no_memory_and_arrays_are(tmp_path):
    np.ones(20_000_000, np.float32).tofile(tmp_path / "file")
    with PeakMemory() as nothing:
        time.sleep(0.05)
    with PeakMemory() as mapped:
        np.memmap(tmp_path / "file", np.float32, "r").sum()
        time.sleep(0.05)
    with PeakMemory() as held, fresh_memory(80_000_000):
        time.sleep(0.05)
    assert nothing.peak > 10e6
    assert abs(mapped.peak - nothing.peak) < 20e6
    assert held.peak - nothing.peak == pytest.approx(80e6, abs=20e6)


def test_the_work_of_a_network_is_counted():
    network = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.Conv3d(2, 1, 1)).eval()
    model = RestorationModel(network, "tiny", "", (8.0, 20.0), {}, torch.device("cpu"), False)
    work = Work.of(model, edge=8)
    assert work.products == 27 * 2 + 2  # multiply-adds a voxel: two filters of 3x3x3, one of two channels
    assert work.values == (1 + 2) + (2 + 1)
    assert work.bytes_per_value == 4
    assert not any(layer._forward_hooks for layer in network)


def test_the_volume_is_noise_with_dark_blobs(tmp_path):
    tomogram = open_tomogram(speed._simulated(tmp_path / "noise.mrc", (20, 64, 70)))
    volume = tomogram.read()
    assert tomogram.tilts == (-60, 0, 60)
    assert volume.std() == pytest.approx(1, abs=0.3) and -0.5 < volume.mean() < -0.05
    smallest = open_tomogram(speed._simulated(tmp_path / "small.mrc", (4, 6, 8))).read()
    assert np.isfinite(smallest).all()


def test_the_table_has_ratios_and_figures():
    row = SpeedRow((256, 256, 256), "cpu, 2 threads", "cryowae-3", 20.0, 38.0, 0.5, 8e8, 67108864, None, 1.25, 6e10)
    text = format_speed([row, dataclasses.replace(row, device="cuda", device_memory=3_000_000_000)])
    first, rule, second, third = text.splitlines()[:4]
    assert {len(line) for line in (first, rule, second, third)} == {len(first)}
    for words in ("256 x 256 x 256", "20 s", "40 x 0.5 s", "800 MB", "11.9 x 67.1 MB", "1.25 per voxel", "38 s"):
        assert words in second
    assert "scipy.ndimage" in text and "sigma 2" in text
    assert "60 G multiply-adds a second" in text and "3.00 GB on the device" in text


@pytest.mark.gpu
def test_a_card_is_measured_against_itself():
    (row,) = measure_speed([(64, 64, 64)], "cuda")
    assert row.device_memory > 0 and 0 < row.compute_share < 1 and 0 < row.traffic_share < 1
