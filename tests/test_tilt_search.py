"""Tilt angles and halves beside a tomogram: by the names that programs give, beside links and their targets."""

from __future__ import annotations

from pathlib import Path

import pytest
from tilt_parts import ALN, COLUMN, MDOC, TILTS, write, xml

from cryowae.errors import TiltError
from cryowae.io.neighbours import Halves, find_halves
from cryowae.io.tilt_search import find_tilts, is_name_of

STAR = "data_TS_01\nloop_\n_rlnMicrographName #1\n_rlnTomoYTilt #2\n" + "".join(f"{t}.mrc {t}\n" for t in TILTS)
TOMOSTAR = STAR.replace("rlnTomoYTilt", "wrpAngleTilt")
SHORTER = "\n".join(map(str, TILTS[1:])) + "\n"


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
        ("TS_1.mrc", "TS_1_Imod/TS_1_st.tlt"),
        ("TS_1_rec.mrc.gz", "TS_1.st.aln"),
        ("rec_TS_01.mrc", "TS_01.tlt"),
        ("rec_TS_01_half2_bin4.mrc", "TS_01.tlt"),
        ("tomograms/rec_TS_01.mrc", "tilt_series/TS_01.star"),
        ("tomograms/rec_TS_01_half1.mrc", "tilt_series/TS_01.star"),
        ("TS_1_13.48Apx_f32_trimmed.mrc", "TS_1.tomostar"),
        ("reconstruction/TS_1_10.00Apx.mrc", "TS_1.xml"),
        ("reconstruction/even/TS_1_10.00Apx.mrc", "TS_1.xml"),
    ],
)
def test_angles_are_found_by_name(tmp_path, tomogram, beside):
    texts = {".aln": ALN, ".mdoc": MDOC, ".xml": xml(), ".star": STAR, ".tomostar": TOMOSTAR}
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
        ("rec_TS_01_half1.mrc", "rec_TS_01_half2.mrc", "rec_TS_01.mrc"),
        ("TS_1_even_bin4.mrc", "TS_1_odd_bin4.mrc", "TS_1_full_bin4.mrc"),
        ("TS_1_EVN_10.00Apx.mrc", "TS_1_ODD_10.00Apx.mrc", "TS_1_10.00Apx.mrc"),
        ("TS_1_even.mrc.gz", "TS_1_odd.mrc.gz", "TS_1.mrc"),
        ("TS_1_even_rec.mrc", "TS_1_odd_rec.mrc", "TS_1_rec.mrc"),
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


def linked(tmp_path):
    write(tmp_path / "data" / "TS_1_rec.mrc", "")
    link = tmp_path / "project" / "tomo_A.mrc"
    link.parent.mkdir()
    link.symlink_to("../data/TS_1_rec.mrc")
    return link


@pytest.mark.parametrize("beside", ["project/tomo_A.tlt", "data/TS_1.tlt", "data/TS_1_Imod/TS_1_st.tlt"])
def test_angles_lie_beside_a_link_or_beside_its_target(tmp_path, beside):
    link, source = linked(tmp_path), write(tmp_path / beside, COLUMN)
    found = find_tilts(link)
    assert found is not None and found.source.samefile(source)


def test_halves_lie_beside_a_link_or_beside_its_target(tmp_path):
    link = linked(tmp_path)
    beside = [write(tmp_path / "data" / f"TS_1_{half}.mrc", "") for half in ("EVN", "ODD")]
    assert find_halves(link) == Halves(*beside)
    nearer = [write(tmp_path / "project" / f"tomo_A_{half}.mrc", "") for half in ("EVN", "ODD")]
    assert find_halves(link) == Halves(*nearer)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (("project/tomo_A.tlt", COLUMN), ("data/TS_1_rec.tlt", SHORTER)),
        (("project/tomo_A.tlt", COLUMN), ("data/TS_1.tlt", SHORTER)),
        (("project/tomo_A.tlt", COLUMN), ("project/tomo_A.aln", ALN.replace("-60.00", "-48.00"))),
        (("data/TS_1.tlt", COLUMN), ("data/TS_1_Imod/TS_1_st.tlt", SHORTER)),
        (("data/TS_1.mdoc", MDOC), ("data/TS_1.rawtlt", SHORTER)),
        (("data/TS_1.tlt", "-60\n-20\n20\n30\n"), ("data/TS_1.xml", xml())),
    ],
)
def test_files_of_equal_rank_with_other_angles_are_refused_and_named(tmp_path, one, two):
    link = linked(tmp_path)
    for name, text in (one, two):
        write(tmp_path / name, text)
    with pytest.raises(TiltError) as caught:
        find_tilts(link)
    for name, _ in (one, two):
        assert Path(name).name in str(caught.value)
    assert "--tilts" in str(caught.value) and "\n" not in str(caught.value)


def test_files_of_equal_rank_with_the_same_angles_are_no_contradiction(tmp_path):
    link = linked(tmp_path)
    write(tmp_path / "data/TS_1.tlt", "\n".join(str(t + 0.02) for t in TILTS))
    write(tmp_path / "data/TS_1.aln", ALN)
    write(tmp_path / "data/TS_1.rawtlt", SHORTER)  # nominal
    found = find_tilts(link)
    assert found is not None and found.source.name == "TS_1.tlt" and found.notes == ()


def test_a_command_file_beside_the_angles_is_followed(tmp_path):
    write(tmp_path / "TS_1.mrc", "")
    write(tmp_path / "TS_1.tlt", COLUMN)
    write(tmp_path / "tilt.com", "$tilt -StandardInput\nTILTFILE TS_1.tlt\nEXCLUDELIST 1,7\nOFFSET 5\n")
    found = find_tilts(tmp_path / "TS_1.mrc")
    assert found is not None and list(found.angles) == [t + 5 for t in TILTS[1:-1]]
    assert "leaves out 2 of 7" in found.notes[0] and "adds 5" in found.notes[1]


def test_a_command_file_of_another_series_is_not_followed(tmp_path):
    write(tmp_path / "TS_1.mrc", "")
    write(tmp_path / "TS_1.tlt", COLUMN)
    write(tmp_path / "tilt.com", "TILTFILE TS_2.tlt\nEXCLUDELIST 1,7\n")
    found = find_tilts(tmp_path / "TS_1.mrc")
    assert found is not None and list(found.angles) == TILTS and found.notes == ()


def test_a_star_file_of_particles_is_not_taken_for_a_tilt_series(tmp_path):
    write(tmp_path / "TS_1.mrc", "")
    write(tmp_path / "TS_1.star", "data_particles\nloop_\n_rlnCoordinateX #1\n3\n")
    assert find_tilts(tmp_path / "TS_1.mrc") is None


@pytest.mark.parametrize(("tilts", "fits"), [("TS_01.tlt", True), ("TS_01.mrc.mdoc", True), ("TS_02.tlt", False)])
def test_the_name_of_a_tilt_file_fits_a_tomogram(tilts, fits):
    assert is_name_of(tilts, "tomograms/rec_TS_01_bin4.mrc.gz") is fits


def test_a_link_to_itself_has_no_angles(tmp_path):
    (tmp_path / "loop.mrc").symlink_to("loop.mrc")
    assert find_tilts(tmp_path / "loop.mrc") is None and find_halves(tmp_path / "loop.mrc") is None
