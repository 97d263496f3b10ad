"""Alignments as their programs define them, every error, and aligned images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cryowae.errors import TiltError
from cryowae.imaging.alignment import align_image, aligned_shape
from cryowae.io.series_file import read_alignment

XF = "0.98 -0.17 0.17 0.99 -12.5 3.25\n\n1 0 0 1 0 0\n0 1 -1 0 4 -5\n"
ALN_HEAD = "# AreTomo Alignment / Priims bprmMn\n# RawSize = 64 60 {images}\n# NumPatches = 0\n"
ALN_NAMES = "# SEC     ROT         GMAG       TX          TY      SMEAN     SFIT    SCALE     BASE     TILT\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def aln(sections, dark=(), images=None):
    head = ALN_HEAD.format(images=len(sections) + len(dark) if images is None else images)
    head += "".join(f"# DarkFrame = {i:5d} {s:4d} {t:8.2f}\n" for i, s, t in dark)
    rows = [f"{s:5d} -95.4040 1.00000 9.220 103.933 1 1 1 0 {t:8.2f}\n" for s, t in sections]
    return head + ALN_NAMES + "".join(rows)


def xml(use="True True True", axis="-4 -4 -4", head=""):
    return (
        f"<TiltSeries {head}><Angles>-50 0 51</Angles><UseTilt>{use}</UseTilt><AxisAngle>{axis}</AxisAngle>"
        "<AxisOffsetX>20 0 -30</AxisOffsetX><AxisOffsetY>5 1 2.5</AxisOffsetY></TiltSeries>"
    )


def test_xf_maps_raw_points_to_the_aligned_image(tmp_path):
    found = read_alignment(write(tmp_path / "a.xf", XF), 10.0)
    forward = np.array([[float(w) for w in line.split()] for line in XF.splitlines() if line])
    aligned = np.array([7.0, -11.0])
    for row, matrix, shift in zip(forward, found.matrix, found.shift, strict=True):
        raw = matrix @ aligned + shift
        assert row[:4].reshape(2, 2) @ raw + row[4:] == pytest.approx(aligned)
    assert found.tilts is None
    assert list(found.sections) == [0, 1, 2]


def test_aln_rotates_by_its_axis_after_the_shift(tmp_path):
    """An image shifted by -(TX, TY) and turned by -ROT is aligned: so the .xf is R(-ROT) and -R(-ROT) (TX, TY)."""
    found = read_alignment(write(tmp_path / "a.aln", aln([(1, -63.2), (2, 0.0)])), 10.0)
    line = "-0.0941778 -0.9955554 0.9955554 -0.0941778 104.3394 0.6092\n"  # by hand, of -95.404, 9.220, 103.933
    same = read_alignment(write(tmp_path / "a.xf", line * 2), 10.0)
    assert found.matrix == pytest.approx(same.matrix, abs=1e-5)
    assert found.shift == pytest.approx(same.shift, abs=1e-3)
    assert found.tilts == pytest.approx([-63.2, 0.0])


@pytest.mark.parametrize(
    ("sections", "dark", "expected"),
    [
        ([0, 1, 2], (), [0, 1, 2]),
        ([1, 2, 3], (), [0, 1, 2]),
        ([3, 1, 2], (), [2, 0, 1]),  # as acquired
        ([0, 1, 2], ((0, 0, -9.0), (4, 4, 9.0)), [1, 2, 3]),  # older: counted without the dark
        ([1, 3, 4], ((1, 2, -3.0), (4, 5, 9.0)), [0, 2, 3]),  # newer: counted in the raw stack, from 1
        ([1, 2, 3], ((0, 4, -3.0), (4, 5, 9.0)), [0, 1, 2]),
    ],
)
def test_sections_of_an_aln_are_those_of_the_raw_stack(tmp_path, sections, dark, expected):
    found = read_alignment(write(tmp_path / "a.aln", aln([(s, 3.0 * i) for i, s in enumerate(sections)], dark)), 1.0)
    assert list(found.sections) == expected
    assert found.images == 3 + len(dark)


def test_a_stack_without_its_dark_images_is_aligned_too(tmp_path):
    dark = ((0, 0, -9.0), (4, 4, 9.0))
    found = read_alignment(write(tmp_path / "a.aln", aln([(0, 0.0), (1, 3.0), (2, 6.0)], dark)), 1.0)
    assert list(found.of_stack(5).sections) == [1, 2, 3]
    assert list(found.of_stack(3).sections) == [0, 1, 2]
    with pytest.raises(TiltError, match="is of 5 images, 3 of them used, but the tilt series has 4"):
        found.of_stack(4)


def test_local_alignments_are_reported_as_not_applied(tmp_path):
    text = aln([(1, -3.0), (2, 0.0)]) + "# Local Alignment\n   0   0  -15.16  -13.14  -6.93  -36.22   1.0\n"
    assert "not applied" in read_alignment(write(tmp_path / "a.aln", text), 1.0).notes[0]


def test_warp_projects_a_point_as_its_formula(tmp_path):
    """Axis at +a degrees from y: raw = R(a) (x cos t - z sin t, y) + offset; ours has x cos t + z sin t."""
    found = read_alignment(write(tmp_path / "a.xml", "\ufeff" + xml()), 2.0)
    x, y, z = 30.0, -12.0, 9.0
    for i, (angle, offset) in enumerate(zip((-50, 0, 51), ((20, 5), (0, 1), (-30, 2.5)), strict=True)):
        t, a = np.deg2rad(angle), np.deg2rad(-4)
        u = x * np.cos(t) - z * np.sin(t)
        expected = (u * np.cos(a) - y * np.sin(a) + offset[0] / 2, u * np.sin(a) + y * np.cos(a) + offset[1] / 2)
        ours = np.deg2rad(found.tilts[i])
        point = np.array([x * np.cos(ours) + z * np.sin(ours), y])
        assert found.matrix[i] @ point + found.shift[i] == pytest.approx(expected)


def test_warp_leaves_out_deselected_tilts_and_adds_the_level_angle(tmp_path):
    found = read_alignment(write(tmp_path / "a.xml", xml("True False True", head='LevelAngleY="2"')), 1.0)
    assert list(found.sections) == [0, 2]
    assert list(found.tilts) == [48.0, -53.0]
    assert "leaves out 1 of 3" in found.notes[0]
    assert list(found.of_stack(2).sections) == [0, 1]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.xf", "1 0 0 1 0\n", "has 5 columns in line 1; expected 6: A11 A12"),
        ("a.xf", "1 0 0 1 0 0\n", "has 1 images; expected those of a tilt series"),
        ("a.xf", "", "has 0 images"),
        ("a.xf", "1 0 0 1 0 0\n1 0 0 1 x 0\n", "'x' in line 2; expected a number"),
        ("a.xf", "1 0 0 1 0 0\n1 0 0 1 nan 0\n", "'nan' in line 2; expected a number"),
        ("a.xf", "1 0 0 1 0 0\n0 0 0 0 1 1\n", "collapses the image"),
        ("a.aln", aln([(1, 0), (2, 3)], images=5), "has 2 images and 0 dark ones; expected the 5"),
        ("a.aln", aln([(1, 0), (7, 3)]), "sections that do not count its 2 images"),
        ("a.aln", "1 2 3\n", "has 3 columns in line 1; expected 10: SEC ROT"),
        ("a.xml", "<TiltSeries>", "no valid XML"),
        ("a.xml", "<Other/>", "has no Angles"),
        ("a.xml", xml(axis="-4 -4"), "has 3 Angles and 2 AxisAngle; expected the same number"),
        ("a.xml", xml("True"), "has 3 Angles and 1 UseTilt"),
        ("a.tlt", "1\n2\n", "unknown ending; expected .xf"),
    ],
)
def test_errors_have_one_line(tmp_path, name, text, message):
    with pytest.raises(TiltError) as caught:
        read_alignment(write(tmp_path / name, text), 1.0)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named_in_the_error(tmp_path):
    with pytest.raises(TiltError, match=r"none\.xf cannot be read"):
        read_alignment(tmp_path / "none.xf", 1.0)


def test_two_programs_agree_on_one_real_series(data_folder):
    """The `.xf` is coarser than the XML: it differs by 2 pixels on average, where the shifts reach 32."""
    warp = read_alignment(data_folder / "tilt/empiar10499_TS01_warp.xml", 10.0)
    imod = read_alignment(data_folder / "tilt/empiar10499_TS01_coarse.xf", 10.0)
    assert warp.matrix == pytest.approx(imod.matrix, abs=1e-3)
    assert np.abs(warp.shift[:, 0]).max() > 30
    assert np.abs(warp.shift - imod.shift).mean() < 2
    assert np.abs(warp.shift - imod.shift).max() < 6


def blob(shape, x, y, sigma):
    """A Gaussian at `(x, y)` from the middle of an image."""
    rows = np.arange(shape[0])[:, None] - (shape[0] - 1) / 2 - y
    columns = np.arange(shape[1])[None] - (shape[1] - 1) / 2 - x
    return torch.from_numpy(np.exp(-(rows**2 + columns**2) / (2 * sigma**2))).float()


@pytest.mark.parametrize(("raw", "factor"), [((60, 64), 1), ((61, 67), 1), ((120, 128), 2), ((125, 131), 4)])
@pytest.mark.parametrize("degrees", [0.0, -4.3, 84.0])
def test_a_point_moves_to_its_aligned_position(raw, factor, degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix, shift = np.array([[c, -s], [s, c]]), np.array([3.3, -2.6]) * factor
    x, y, sigma = 5.4, -7.1, 1.5
    there = matrix @ np.array([x, y]) * factor + shift
    shape = (22, 24)
    image = blob(raw, *there, sigma * factor)
    found = align_image(image - image.mean(), matrix, shift, shape, factor) + image.mean()
    assert (found - blob(shape, x, y, sigma)).abs().max() < 0.003


def test_pixels_beyond_the_raw_image_have_its_mean():
    image = 50 + blob((40, 40), 15, 0, 3.0)
    found = align_image(image, np.eye(2), np.array([30.0, 0.0]), (40, 40))
    assert torch.allclose(found[:, 20:], image.mean(), atol=1e-4)
    assert found[:, :8].max() > 50.9


def test_binning_does_not_alias():
    """A wave of 2.5 pixels is removed when two pixels are binned; a wave of eight pixels is kept."""
    x = torch.arange(80.0)
    inner = slice(6, -6)
    fast = align_image(torch.cos(2 * torch.pi * 0.4 * x).repeat(80, 1), np.eye(2), np.zeros(2), (40, 40), 2)
    assert fast[inner, inner].abs().max() < 0.03
    slow = align_image(torch.cos(2 * torch.pi * 0.125 * x).repeat(80, 1), np.eye(2), np.zeros(2), (40, 40), 2)
    middles = 2 * torch.arange(40.0) + 0.5
    assert (slow - torch.cos(2 * torch.pi * 0.125 * middles))[inner, inner].abs().max() < 0.02


def test_a_tilt_axis_along_x_swaps_width_and_height():
    upright = np.tile(np.eye(2), (3, 1, 1))
    lying = np.tile([[0.0, -1.0], [1.0, 0.0]], (3, 1, 1))
    assert aligned_shape((41, 60), upright, 2) == (20, 30)
    assert aligned_shape((41, 60), lying, 2) == (30, 20)
