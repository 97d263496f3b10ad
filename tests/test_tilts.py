"""Tilt angles in every format, real and simulated files; files beside a tomogram; every error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cryowae.errors import TiltError
from cryowae.io.neighbours import Halves, find_halves, find_tilts
from cryowae.io.tilts import read_tilts, require_tilt_range

TILTS = [-60.0, -40.0, -20.0, 0.5, 20.0, 40.0, 60.0]
COLUMN = "\n".join(f" {t:7.2f}" for t in TILTS) + "\n"
DOSE_SYMMETRIC = [0.5, 20.0, -20.0, -40.0, 40.0, 60.0, -60.0]
ALN = """# AreTomo Alignment / Priims bprmMn
# RawSize = 4092 5760 7
# NumPatches = 4
# DarkFrame =     0    0   -63.00
# AlphaOffset =     0.00
# SEC     ROT         GMAG       TX          TY      SMEAN     SFIT    SCALE     BASE     TILT
""" + "".join(f"{i:5d}   85.1  1.00000  1.1  -2.2   1.00   1.00   1.00   0.00  {t:9.2f}\n" for i, t in enumerate(TILTS))
LOCAL = "# Local Alignment\n   0   0  -1000.0   200.0    0.5    0.1    1.0\n"
MDOC = "PixelSpacing = 2\n\n[T = title]\n\n" + "".join(
    f"[ZValue = {i}]\nTiltAngle = {t}\nStagePosition = 1 2\n\n" for i, t in enumerate(DOSE_SYMMETRIC)
)


def xml(flags: str = "") -> str:
    angles = "<Angles>" + "\n".join(map(str, TILTS)) + "</Angles>"
    head = '\ufeff<?xml version="1.0" encoding="utf-8"?>\n<TiltSeries AreAnglesInverted="True">\n'
    return head + angles + flags + "\n</TiltSeries>"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.tlt", COLUMN, "tlt"),
        ("a.rawtlt", COLUMN, "rawtlt"),
        ("descending.tlt", "\n".join(map(str, reversed(TILTS))), "tlt"),
        ("acquired.rawtlt", "\n".join(map(str, DOSE_SYMMETRIC)), "rawtlt"),
        ("branches.tlt", "0.5\n20\n40\n60\n-20\n-40\n-60", "tlt"),
        ("windows.tlt", "\ufeff" + COLUMN.replace("\n", "\r\n") + "\r\n\r\n", "tlt"),
        ("a_TLT.txt", "".join(f"{t:8.2f} {i:4d} {3.0 * i:6.2f}\n" for i, t in enumerate(TILTS)), "aretomo-tlt"),
        ("a.aln", ALN, "aln"),
        ("local.aln", ALN + LOCAL, "aln"),
        ("a.mdoc", MDOC, "mdoc"),
        ("a.xml", xml(), "warp-xml"),
        ("angles.txt", "# my angles\n" + COLUMN, "text"),
    ],
)
def test_every_format_is_read(tmp_path, name, text, kind):
    found = read_tilts(write(tmp_path / name, text))
    assert list(found.angles) == TILTS
    assert (found.format, found.source) == (kind, tmp_path / name)
    assert (found.tilt_min, found.tilt_max) == (-60, 60)
    assert "7 angles from -60.00 to 60.00" in str(found)


@pytest.mark.parametrize(
    ("name", "text", "listed"),
    [
        ("a.rawtlt", "\n".join(map(str, DOSE_SYMMETRIC)), DOSE_SYMMETRIC),
        ("a.tlt", "\n".join(map(str, reversed(TILTS))), TILTS[::-1]),
        ("a.mdoc", MDOC + "[ZValue = 7]\nTiltAngle = 20.0\n", [*DOSE_SYMMETRIC, 20.0]),
        ("a.xml", xml("<UseTilt>False True True True True True True</UseTilt>"), TILTS[1:]),
        ("a.aln", ALN, TILTS),
    ],
)
def test_the_order_of_the_images_is_kept(tmp_path, name, text, listed):
    assert list(read_tilts(write(tmp_path / name, text)).listed) == listed


def test_warp_leaves_out_the_tilts_that_were_deselected(tmp_path):
    flags = "<UseTilt>" + "\n".join(["False", *["True"] * 5, "False"]) + "</UseTilt>"
    found = read_tilts(write(tmp_path / "a.xml", xml(flags)))
    assert list(found.angles) == TILTS[1:-1]
    assert "2 of 7" in found.notes[0]


def test_an_mdoc_may_list_a_retaken_tilt_twice(tmp_path):
    found = read_tilts(write(tmp_path / "a.mdoc", MDOC + "[ZValue = 7]\nTiltAngle = 20.0\n"))
    assert list(found.angles) == TILTS
    assert "more than once" in found.notes[0]


@pytest.mark.parametrize(
    ("name", "count", "low", "high"),
    [
        ("empiar10499_TS01.tlt", 41, -60.01, 59.98),
        ("empiar10499_TS01_warp.xml", 41, -60.01, 59.98),
        ("empiar10164_TS_01.mrc.mdoc", 41, -60.0, 60.0),
        ("cryocat_017.mdoc", 60, -52.01, 65.97),
        ("cryocat_017.tlt", 60, -52.01, 65.97),
        ("etspy_HAADF_77tilts.rawtlt", 77, -76.0, 76.0),
    ],
)
def test_real_files(data_folder, name, count, low, high):
    path = data_folder / "tilt" / name
    if not path.exists():
        pytest.skip(f"{name} is not in the data folder")
    found = read_tilts(path)
    assert len(found.angles) == count
    assert (found.tilt_min, found.tilt_max) == pytest.approx((low, high), abs=0.01)


def test_mdoc_and_tlt_of_a_real_series_agree(data_folder):
    one, two = (data_folder / "tilt" / f"cryocat_017.{ending}" for ending in ("mdoc", "tlt"))
    if not (one.exists() and two.exists()):
        pytest.skip("cryocat_017 is not in the data folder")
    assert read_tilts(one).angles == pytest.approx(read_tilts(two).angles, abs=0.006)


@pytest.mark.parametrize(
    "name", ["cryocat_017_corrected_dose.txt", "empiar10499_TS01_coarse.xf", "cryocat_017_gctf.star"]
)
def test_real_files_without_tilt_angles(data_folder, name):
    if not (data_folder / "tilt" / name).exists():
        pytest.skip(f"{name} is not in the data folder")
    with pytest.raises(TiltError, match="expected"):
        read_tilts(data_folder / "tilt" / name)


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("empty.tlt", " \n\n", "is empty"),
        ("line.tlt", "-60 60\n", "--tilt-range"),
        ("one.tlt", "0.0\n", "one line"),
        ("words.tlt", "tilt\nangles\nhere\n", "'tilt' in line 1"),
        ("word.tlt", "-60\n-40\nminus\n", "'minus' in line 3"),
        ("beyond.tlt", "-60\n0\n95\n", "angle 95 in line 3"),
        ("right.tlt", "-90\n0\n60\n", "angle -90"),
        ("nan.tlt", "-60\nnan\n60\n", "'nan' in line 2"),
        ("shuffled.tlt", "-60\n60\n-40\n40\n", "wrong order: angle 3 (-40)"),
        ("twice.tlt", "-60\n0\n0\n60\n", "angle 0 twice"),
        ("again.rawtlt", "0\n20\n-20\n20\n", "angle 20 twice"),
        ("radians.tlt", "-1.04\n0\n1.04\n", "in degrees"),
        ("narrow.tlt", "10\n11\n12\n", "spans only 2"),
        ("wide.tlt", "1 2 3 4\n2 3 4 5\n", "4 columns in line 1"),
        ("binary.tlt", "-60\0\0\n", "not a text file"),
        ("few.aln", "# AreTomo\n", "has 0 angles"),
        ("columns.aln", COLUMN, "1 columns in line 1"),
        ("none.mdoc", "[ZValue = 0]\nDefocus = 1\n", "no TiltAngle"),
        ("word.mdoc", "[ZValue = 0]\nTiltAngle = high\n", "'high' in line 2"),
        ("other.xml", "<Something/>", "TiltSeries"),
        ("broken.xml", "<TiltSeries><Angles>1", "no valid XML"),
        ("flags.xml", xml("<UseTilt>True</UseTilt>"), "1 UseTilt"),
        ("none.xml", xml("<UseTilt>" + "False " * 7 + "</UseTilt>"), "has 0 angles"),
    ],
)
def test_unusable_files_give_one_clear_line(tmp_path, name, text, part):
    path = write(tmp_path / name, text)
    with pytest.raises(TiltError, match=re.escape(part)) as caught:
        read_tilts(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert "expected" in message


def test_missing_file(tmp_path):
    with pytest.raises(TiltError, match="cannot be read"):
        read_tilts(tmp_path / "none.tlt")


@pytest.mark.parametrize(
    ("low", "high", "part"),
    [(60, -60, "wrong order"), (10, 10, "wrong order"), (-90, 60, "impossible"), (-60, float("nan"), "impossible")],
)
def test_impossible_ranges_are_refused(low, high, part):
    with pytest.raises(TiltError, match=part):
        require_tilt_range(low, high)


def test_asymmetric_ranges_are_accepted():
    assert require_tilt_range(-42, 60) == (-42.0, 60.0)


@pytest.mark.parametrize(
    ("tomogram", "beside"),
    [
        ("TS_1.mrc", "TS_1.tlt"),
        ("TS_1_full.mrc", "TS_1.tlt"),
        ("TS_1_20A_full.rec.gz", "TS_1.tlt"),
        ("TS_1_EVN_Vol.mrc", "TS_1.aln"),
        ("TS_1_Vol.mrc", "TS_1_TLT.txt"),
        ("TS_1_half1.mrc", "TS_1.rawtlt"),
        ("TS_1_bin4_rec.mrc", "TS_1.mrc.mdoc"),
        ("TS_1_rec.mrc", "TS_1.mdoc"),
        ("TS_1_Vol.mrc", "TS_1_Imod/TS_1.tlt"),
        ("reconstruction/TS_1_10.00Apx.mrc", "TS_1.xml"),
        ("reconstruction/even/TS_1_10.00Apx.mrc", "TS_1.xml"),
    ],
)
def test_angles_are_found_by_name(tmp_path, tomogram, beside):
    texts = {".aln": ALN, ".mdoc": MDOC, ".xml": xml()}
    source = write(tmp_path / beside, texts.get(Path(beside).suffix, COLUMN))
    write(tmp_path / tomogram, "")
    found = find_tilts(tmp_path / tomogram)
    assert found is not None
    assert found.source.resolve() == source.resolve()


def test_aligned_angles_are_preferred_to_nominal_ones_and_the_full_name_to_a_shorter_one(tmp_path):
    for name in ("TS_1.mdoc", "TS_1.rawtlt", "TS_1.tlt"):
        write(tmp_path / name, MDOC if name.endswith("mdoc") else COLUMN)
    found = find_tilts(tmp_path / "TS_1_rec.mrc")
    assert found is not None and found.source.name == "TS_1.tlt"
    write(tmp_path / "TS_1_rec.tlt", COLUMN)
    found = find_tilts(tmp_path / "TS_1_rec.mrc")
    assert found is not None and found.source.name == "TS_1_rec.tlt"


def test_angles_of_another_series_are_not_used(tmp_path):
    for name in ("TS_2.tlt", "TS_10.tlt", "TS.tlt", "notes.txt"):
        write(tmp_path / name, COLUMN)
    write(tmp_path / "TS_1.xml", "<metadata/>")
    assert find_tilts(tmp_path / "TS_1.mrc") is None


def test_a_damaged_tilt_file_beside_the_tomogram_is_an_error(tmp_path):
    write(tmp_path / "TS_1.tlt", "words\nhere\n")
    write(tmp_path / "TS_1.rawtlt", COLUMN)
    with pytest.raises(TiltError, match="words"):
        find_tilts(tmp_path / "TS_1.mrc")


@pytest.mark.parametrize(
    ("one", "two", "full"),
    [
        ("TS_1_EVN.mrc", "TS_1_ODD.mrc", "TS_1.mrc"),
        ("TS_1_EVN_Vol.mrc", "TS_1_ODD_Vol.mrc", "TS_1_Vol.mrc"),
        ("TS_1_even.rec", "TS_1_odd.rec", "TS_1_full.rec"),
        ("TS_1_half1.mrc", "TS_1_half2.mrc", "TS_1.mrc"),
        ("even/TS_1_10.00Apx.mrc", "odd/TS_1_10.00Apx.mrc", "TS_1_10.00Apx.mrc"),
    ],
)
def test_halves_are_found_from_either_and_from_the_full_volume(tmp_path, one, two, full):
    half1, half2 = write(tmp_path / one, ""), write(tmp_path / two, "")
    for path in (half1, half2, tmp_path / full):
        assert find_halves(path) == Halves(half1, half2)


def test_a_single_half_is_no_pair(tmp_path):
    path = write(tmp_path / "TS_1_EVN.mrc", "")
    assert find_halves(path) is None
    assert find_halves(tmp_path / "TS_1.mrc") is None
