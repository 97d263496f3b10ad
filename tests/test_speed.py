"""Speed, memory and limits of the benchmark: figures are reported as measured. No test depends on run times."""

from __future__ import annotations

import dataclasses
import threading
from math import nan
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_cli import run
from torch import Tensor, nn

from cryowae.benchmark import limits, speed
from cryowae.benchmark.limits import Limit, format_limits, measure_limits
from cryowae.benchmark.speed import (
    SpeedRow,
    anonymous_memory,
    card_rates,
    convolution_work,
    format_speed,
    measure_speed,
    simulate_noise,
    watched_memory,
)
from cryowae.models.weights import RestorationModel
from cryowae.tomogram import open_tomogram

SIZE = (24, 40, 48)


class Unchanged:
    """A model without weights that returns its input."""

    stride, receptive_field, voxel_sizes, name, device = 8, 8, (8.0, 20.0), "unchanged", torch.device("cpu")

    def __call__(self, window: Tensor, /) -> Tensor:
        return window


def test_a_restoration_is_measured_from_file_to_file(monkeypatch):
    plain, seen = speed.gaussian_filter, []

    def filtered(volume, sigma):
        seen.append((volume.shape, volume.dtype, sigma))
        return plain(volume, sigma)

    monkeypatch.setattr(speed, "gaussian_filter", filtered)
    (row,) = measure_speed([SIZE], "cpu", Unchanged())
    assert seen == [(SIZE, np.float32, 2.0)]
    assert row.shape == SIZE and row.device.startswith("cpu, ")
    assert row.cells()["/ volume"].endswith(f" x {4 * 24 * 40 * 48 / 1e6:.3g} MB")
    assert row.network_voxels_per_voxel >= 1
    assert (row.rate, row.device_memory, row.compute_share) == (None, None, None)


def test_a_row_reports_the_figures_of_its_parts(monkeypatch):
    """Clock, memory and restoration are replaced by known values."""

    def restored(source, *, model, options, progress):
        assert Path(source).is_file() and options.fast and not options.report
        return SimpleNamespace(seconds=30.0, network_voxels_per_voxel=1.5)

    cpu_time = iter([100.0, 157.0])
    monkeypatch.setattr(speed, "restore_tomogram", restored)
    monkeypatch.setattr(speed, "timeit", lambda work, number: 0.5)
    monkeypatch.setattr(speed, "watched_memory", lambda: watched_memory(lambda: 6e6))
    monkeypatch.setattr(speed.time, "process_time", lambda: next(cpu_time))
    (row,) = measure_speed([SIZE], "cpu", Unchanged(), fast=True)
    assert (row.seconds, row.cpu_seconds, row.reference_seconds) == (30.0, 57.0, 0.5)
    assert row.memory == 6e6
    assert row.cells()["/ Gaussian filter"] == "60 x 0.5 s" and row.cells()["/ volume"] == "32.6 x 0.184 MB"


def test_memory_is_read_during_the_work():
    values, read_all = iter([10.0, 50.0, 20.0]), threading.Event()

    def read() -> float:
        try:
            return next(values)
        except StopIteration:
            read_all.set()
            return 5.0

    with watched_memory(read) as seen:
        assert read_all.wait(60)
    assert seen[:3] == [10, 50, 20]


def test_anonymous_memory_leaves_out_mapped_files(tmp_path):
    status = "VmRSS:\t 900 kB\nRssAnon:\t     123 kB\nRssFile:\t 777 kB\n"
    (tmp_path / "status").write_text(status)
    assert anonymous_memory(tmp_path / "status") == 123 * 1024
    assert np.isnan(anonymous_memory(tmp_path / "missing"))


def test_the_work_of_convolutions_is_counted():
    network = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.Conv3d(2, 1, 1)).eval()
    model = RestorationModel(network, "tiny", "", (8.0, 20.0), {}, torch.device("cpu"), False)
    products, values = convolution_work(model, edge=8)
    assert products == 27 * 2 + 2  # multiply-adds a voxel: two filters of 3x3x3, one of two channels
    assert values == (1 + 2) + (2 + 1)
    convolution_work(model, edge=8)  # the count starts again: hooks are removed
    assert convolution_work(model, edge=8) == (products, values)
    assert not any(layer._forward_hooks for layer in network) and not torch.nn.modules.module._global_forward_hooks


def test_rates_of_a_device_are_those_of_a_product_and_a_copy(monkeypatch):
    class Timer:
        def __init__(self, code, globals):
            exec(code, globals)
            self.mean = 0.5 if "matmul" in code else 0.25

        def timeit(self, count):
            return self

    monkeypatch.setattr(speed, "Timer", Timer)
    flops, bandwidth = card_rates(torch.device("cpu"), torch.float32, edge=10)
    assert flops == 2 * 10**3 / 0.5 and bandwidth == 2 * 4 * 10**2 / 0.25


def test_the_volume_is_noise_with_dark_blobs(tmp_path):
    tomogram = open_tomogram(simulate_noise(tmp_path / "noise.mrc", (20, 64, 70)))
    volume = tomogram.read()
    assert tomogram.tilts == (-60, 0, 60)
    assert volume.std() == pytest.approx(1, abs=0.3) and -0.5 < volume.mean() < -0.05
    smallest = open_tomogram(simulate_noise(tmp_path / "small.mrc", (4, 6, 8))).read()
    assert np.isfinite(smallest).all()


def test_the_table_has_ratios_and_figures():
    row = SpeedRow((256, 256, 256), "cpu, 2 threads", 20.0, 38.0, 0.5, 8e8, 1.25, 6e10)
    text = format_speed([row, dataclasses.replace(row, device="cuda", device_memory=3_000_000_000)])
    first, rule, second, third = text.splitlines()[:4]
    assert {len(line) for line in (first, rule, second, third)} == {len(first)}
    for words in ("256 x 256 x 256", "20 s", "40 x 0.5 s", "800 MB", "11.9 x 67.1 MB", "1.25 per voxel", "38 s"):
        assert words in second
    assert "scipy.ndimage" in text and "sigma 2" in text
    assert "60 G multiply-adds a second" in text and "3.00 GB on the device" in text


def limit(most: float, value: float) -> Limit:
    return Limit(f"a figure of {value:g}", most, "MB", lambda folder: value)


@pytest.fixture
def in_this_process(monkeypatch):
    monkeypatch.setattr(limits, "_in_new_process", lambda each: each.measure(Path()))


def test_a_limit_is_kept_missed_or_not_measured(monkeypatch, in_this_process):
    monkeypatch.setattr(limits, "LIMITS", [limit(200, 150), limit(200, 200.5), limit(200, nan)])
    rows = measure_limits()
    assert [each.verdict(value) for each, value in rows] == ["kept", "missed", "not measured"]
    lines = format_limits(rows).splitlines()
    assert len({len(line) for line in lines}) == 1
    for line, words in zip(lines[2:], (("150 MB", "200 MB", "kept"), ("200.5 MB", "missed")), strict=False):
        assert all(word in line for word in words)


@pytest.mark.parametrize(("value", "code"), [(150, 0), (201, 1), (nan, 0)])
def test_the_command_fails_if_a_limit_is_missed(monkeypatch, in_this_process, value, code):
    monkeypatch.setattr(limits, "LIMITS", [limit(200, value)])
    result = run("benchmark", "limits")
    assert result.exit_code == code and "200 MB" in result.stdout


@pytest.mark.slow
def test_every_limit_can_be_measured(monkeypatch):
    """Without comparison with the limits: `cryowae benchmark limits` does this."""
    short = [each for each in limits.LIMITS if "restoring" not in each.name and "demo" not in each.name]
    monkeypatch.setattr(limits, "LIMITS", short)
    assert len(short) == 3 and all(value > 0 or np.isnan(value) for _, value in measure_limits())


@pytest.mark.gpu
def test_the_rates_on_cuda_are_relative_to_the_same_device():
    (row,) = measure_speed([(64, 64, 64)], "cuda")
    assert row.device_memory > 0 and 0 < row.compute_share < 1 and 0 < row.traffic_share < 1
