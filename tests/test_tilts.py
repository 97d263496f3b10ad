"""Tilt angles in every format, real and simulated files; every error."""

from __future__ import annotations

import re

import pytest
from tilt_parts import ALN, COLUMN, DOSE_SYMMETRIC, LOCAL, MDOC, TILTS, write, xml

from cryowae.errors import TiltError
from cryowae.io.tilts import read_tilts, require_tilt_range


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
    ("name", "text", "angles", "note"),
    [
        ("a.tlt", "0\n20\n40\n0\n-20\n-40\n", [-40, -20, 0, 20, 40], "1 angles more than once"),  # two branches
        ("a.rawtlt", "0\n20\n-20\n20\n", [-20, 0, 20], "1 angles more than once"),  # retaken
        ("late.tlt", "0\n3\n-3\n6\n9\n-9\n12\n-12\n15\n-15\n-6\n", [*range(-15, 16, 3)], ""),
        ("shuffled.tlt", "-60\n60\n-40\n40\n", [-60, -40, 40, 60], "neither by angle nor as acquired"),
        ("half.tlt", "2\n5\n8\n11\n", [2, 5, 8, 11], "of one sign only"),
    ],
)
def test_only_the_range_and_the_steps_matter(tmp_path, name, text, angles, note):
    found = read_tilts(write(tmp_path / name, text))
    assert list(found.angles) == angles
    assert list(found.listed) == [float(line) for line in text.split()]
    assert len(found.notes) == bool(note) and all(note in line for line in found.notes)


def test_images_of_an_mdoc_without_angle_are_said_and_left_out(tmp_path):
    text = MDOC + "[ZValue = 7]\nStagePosition = 1 2\n\n[ZValue = 8]\nTiltAngle = 63\n"
    found = read_tilts(write(tmp_path / "a.mdoc", text))
    assert list(found.listed) == [*DOSE_SYMMETRIC, 63.0]
    assert (found.sections, found.images) == ((0, 1, 2, 3, 4, 5, 6, 8), 9)
    assert "no TiltAngle for 1 of 9" in found.notes[0]


def test_the_sections_of_an_mdoc_give_the_order_of_the_images(tmp_path):
    sections = MDOC.split("[ZValue")
    found = read_tilts(write(tmp_path / "a.mdoc", sections[0] + "".join(f"[ZValue{s}" for s in sections[:0:-1])))
    assert list(found.listed) == DOSE_SYMMETRIC


def test_warps_angles_include_the_level_angle_and_have_the_other_sign(tmp_path):
    head = 'LevelAngleX="-3" LevelAngleY="-10.5"'
    found = read_tilts(write(tmp_path / "a.xml", xml().replace("<TiltSeries", f"<TiltSeries {head}")))
    assert list(found.angles) == [t - 10.5 for t in TILTS]
    assert list(found.measured) == [10.5 - t for t in reversed(TILTS)]
    assert "LevelAngleX" in found.notes[0] and "10.5 degrees of LevelAngleY" in found.notes[1]


COM = (
    "# Command file to run Tilt\n$tilt -StandardInput\nInputProjections a.ali\nOutputFile a_full.rec\nTILTFILE a.tlt\n"
)


@pytest.mark.parametrize(
    ("entries", "sections", "offset", "notes"),
    [
        ("", range(7), 0, []),
        ("EXCLUDELIST 1-2,7\nOFFSET 0.0\nXAXISTILT 0.0\n", range(2, 6), 0, ["leaves out 3 of 7"]),
        ("EXCLUDELIST2 1,2\nEXCLUDELIST 7\n", range(2, 6), 0, ["leaves out 3 of 7"]),
        ("ExcludeList 1, 2 7\n", range(2, 6), 0, ["leaves out 3 of 7"]),
        ("OFFSET -12.5 4\nXAXISTILT 2.03\n", range(7), -12.5, ["adds -12.5", "XAXISTILT"]),
        ("OFFSET=3\nINCLUDE 3-5\n", range(2, 5), 3, ["leaves out 4 of 7", "adds 3"]),
    ],
)
def test_the_command_file_of_imod_leaves_views_out_and_adds_its_offset(tmp_path, entries, sections, offset, notes):
    write(tmp_path / "a.tlt", COLUMN)
    found = read_tilts(write(tmp_path / "tilt.com", COM + entries))
    assert list(found.listed) == [TILTS[i] + offset for i in sections]
    assert (list(found.sections), found.images) == (list(sections), 7)
    assert len(found.notes) == len(notes) and all(map(str.__contains__, found.notes, notes))
    if entries and (offset or len(sections) < 7):  # the list alone says what it leaves unsaid
        assert "--tilts tilt.com" in read_tilts(tmp_path / "a.tlt").notes[0]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("$tilt\nOFFSET 3\n", "has no TILTFILE"),
        (COM + "EXCLUDELIST 8\n", "names view 8"),
        (COM + "EXCLUDELIST 3-\n", "'3-' in a list of views"),
        (COM + "EXCLUDELIST 1-900000\n", "has the views 1-900000"),
        (COM + "OFFSET x\n", "'x'"),
        (COM + "OFFSET 40\n", "angle 100"),
        ("TILTFILE none.tlt\n", "cannot be read"),
        ("TILTFILE tilt.com\n", "as its TILTFILE"),
    ],
)
def test_a_command_file_that_cannot_be_followed_is_refused(tmp_path, text, part):
    write(tmp_path / "a.tlt", COLUMN)
    with pytest.raises(TiltError, match=re.escape(part)):
        read_tilts(write(tmp_path / "tilt.com", text))


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
        ("shifts.tlt", "-31\n17.5\n-4.2\n22\n3.1\n-14\n8\n40\n-2\n", "wrong order, with uneven steps"),
        ("radians.tlt", "-1.04\n0\n1.04\n", "in degrees"),
        ("narrow.tlt", "10\n11\n12\n", "spans only 2"),
        ("wide.tlt", "1 2 3 4\n2 3 4 5\n", "4: 4, 5... (spans 1)"),
        ("columns.tlt", "-60 0\n-40 1\n-20\n", "1 columns and not 2"),
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
