"""Figures for a window: content and part of the volume; and the inferred part as a volume."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryowae.errors import OutputError, TiltError
from cryowae.fourier.wedge import Wedge
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.report.correlations import halves_panel, truth_curves, truth_panel
from cryowae.report.fitting import NARROW, fit_figure
from cryowae.report.slices import slices_panel
from cryowae.report.spectra import block_about, compare_spectra, spectra_panel
from cryowae.report.style import WIDTH, as_array
from cryowae.restore import write_inferred
from cryowae.tomogram import open_tomogram

SHAPE = (24, 40, 48)


def noise(seed: int = 0, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def axes_of(figure) -> dict:
    return {axes.get_label(): axes for axes in figure.axes}


def test_a_block_lies_about_its_centre_but_inside_the_volume():
    def block(centre):
        return [(p.start, p.stop) for p in block_about((100, 20, 100), (10, 30, 10), centre)]

    assert block(None) == block((50, 3, 50)) == [(45, 55), (0, 20), (45, 55)]
    assert block((2, 0, 99)) == [(0, 10), (0, 20), (90, 100)]


def test_spectra_are_those_of_the_block_about_the_point():
    volume = np.zeros((32, 300, 32), np.float32)
    volume[:, 200:] = noise(shape=(32, 100, 32))
    near = compare_spectra(volume, volume, -60, 60, centre=(16, 280, 16))
    far = compare_spectra(volume, volume, -60, 60, centre=(16, 20, 16))
    assert far.after.sum() == 0 and near.after.sum() > 0 and near.block == (32, 64, 32)


@pytest.mark.parametrize("upward", [False, True])
def test_slices_go_through_the_point_with_rows_as_in_the_viewer(upward):
    volumes = {"before": noise(0), "after": noise(1), "truth": noise(2)}
    figure = slices_panel(volumes, (5, 7, 9), voxel_size=10, upward=upward)
    axes = axes_of(figure)
    assert len(axes) == 9
    assert np.array_equal(axes["xy after"].images[0].get_array(), volumes["after"][5])
    assert np.array_equal(axes["xz after"].images[0].get_array(), volumes["after"][:, 7])
    assert np.array_equal(axes["yz truth"].images[0].get_array(), volumes["truth"][:, :, 9])
    low, high = axes["xy before"].get_ylim()
    assert (low < high) == upward
    (bar,) = [patch for patch in axes["xy before"].patches if patch.get_label() == "scale bar"]
    inside = axes["xy before"].transAxes.inverted().transform(bar.get_window_extent().get_points())
    assert np.all(inside[0] > 0) and 0.2 < np.ptp(inside[:, 0]) < 0.4 and inside[1, 1] < 0.2  # at the lower left
    assert all(a.get_position().y0 >= 0 and a.get_position().y1 <= 1 for a in figure.axes)  # the slices are complete


def test_spectra_have_the_lines_of_the_wedge_and_the_inferred_share():
    volume = noise()
    comparison = compare_spectra(volume, volume, -60, 50)
    figure = spectra_panel(comparison)
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines] == ["tilt -60", "tilt 50"]
    words = " ".join(text.get_text() for text in figure.texts)
    assert "-60 to +50°" in words and f"{comparison.inferred_share:.0%}" in words
    picture = as_array(figure)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 4


def test_curves_with_the_truth_in_both_regions():
    truth = noise(shape=(48, 48, 48))
    cut = Wedge.binary(-60, 60).apply(torch.from_numpy(truth)).numpy()
    first, second = truth_curves({"before": cut, "after": truth}, truth, (-60, 60))
    assert (first.kind, second.kind) == ("input", "method")
    assert np.nanmin(first.mean["measured"]) > 0.85 and abs(np.nanmean(first.mean["missing wedge"])) < 0.3
    assert np.nanmin(second.mean["missing wedge"]) > 0.999
    (axes,) = truth_panel([first, second], voxel_size=10).axes
    assert len([line for line in axes.lines if len(line.get_xdata()) > 2]) == 4
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["before", "after"]


def test_fsc_of_halves_in_a_window():
    signal = noise(3)
    figure = halves_panel(signal + 0.1 * noise(1), signal + 0.1 * noise(2), voxel_size=20)
    (axes,) = figure.axes
    curve = next(line for line in axes.lines if len(line.get_xdata()) > 2)
    assert np.nanmin(curve.get_ydata()) > 0.9
    assert "40 Å" in [label.get_text().split("\n")[-1] for label in axes.get_xticklabels()]


def test_inferred_and_measured_parts_add_up_to_the_volume(tmp_path):
    path = tmp_path / "restored.mrc"
    write_mrc(path, noise() + 5, voxel_size=10)
    tomogram = open_tomogram(path, tilt_range=(-60, 45))
    assert write_inferred(tomogram, tmp_path / "inferred.mrc") == tmp_path / "inferred.mrc"
    inferred = np.array(read_mrc(tmp_path / "inferred.mrc").data)
    measured = tomogram.wedge.apply(torch.from_numpy(noise() + 5)).numpy()
    assert inferred + measured == pytest.approx(noise() + 5, abs=1e-4)
    assert abs(inferred.mean()) < 1e-4 and inferred.std() > 0.2
    with pytest.raises(OutputError, match="exists already"):
        write_inferred(tomogram, tmp_path / "inferred.mrc")
    with pytest.raises(TiltError, match="is not known"):
        write_inferred(open_tomogram(path, need_wedge=False), tmp_path / "other.mrc")
    assert not (tmp_path / "other.mrc").exists()


@pytest.mark.parametrize("width", [NARROW, WIDTH])
def test_texts_of_a_fit_lie_inside_the_picture_and_do_not_touch(width):
    volume = np.random.default_rng(0).normal(size=(16, 32, 32)).astype(np.float32)
    names = ("input", "weights at the start", "adapted weights")
    question = "correlation with components of the outer 18 degrees, which were removed before the restoration"
    figure = fit_figure({0: 0.3, 5: 0.4}, dict.fromkeys(names, volume), 10.0, question, width)
    as_array(figure)
    boxes = {text.get_text(): text.get_window_extent() for text in figure.texts}
    for box in boxes.values():
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1 and box.y0 >= figure.bbox.y0
    shown = list(boxes.values())
    assert not any(a.overlaps(b) for i, a in enumerate(shown) for b in shown[:i])
    assert set(names) < set(boxes) and question in [text.replace("\n", " ") for text in boxes]
    assert abs(figure.get_size_inches()[0] - width) < 1e-6
