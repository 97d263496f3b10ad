"""The column of angles in tables: by name, by values, or refused; text encodings; what is no small text file."""

from __future__ import annotations

import gzip
import os
import random
import re
import time

import pytest
from tilt_parts import COLUMN, TILTS, write, xml

from cryowae.errors import TiltError
from cryowae.io.angle_columns import counts, even_steps, in_order
from cryowae.io.tilts import read_tilts

ANGLES = [3.0 * i - 42 for i in range(35)]  # -42..60
ACQUIRED = sorted(ANGLES, key=lambda angle: (abs(angle), angle))
DOSES = [round(3.1 * (i + 1), 2) for i in range(35)]


def table(*columns, by=" ", head=""):
    return head + "\n".join(by.join(map(str, row)) for row in zip(*columns, strict=True)) + "\n"


COUNT, NAMES = range(1, 36), [f"TS_{i:03d}.tif" for i in range(35)]
COMMAS = [f"{angle:.2f}".replace(".", ",") for angle in ANGLES]
SPIDER = [f"{angle:.6f}" for angle in ANGLES]
LOG = (
    " At minimum tilt, rotation angle is  -12.50\n\n view   rotation    tilt    deltilt     mag      dmag      skew    "
)
LOG_ROWS = table(COUNT, [-12.5] * 35, ANGLES, [0.1] * 35, [1.0] * 35, [0.0] * 35, [0.0] * 35, [0.5] * 35)
KNOWN = {
    "count and angle": table(COUNT, ANGLES, by=","),
    "order list": table(COUNT, ACQUIRED, by=","),
    "order by angle": table(sorted(COUNT, key=lambda n: ACQUIRED[n - 1]), ANGLES, by=", "),
    "count from 0": table(range(35), SPIDER, by="\t"),
    "whole numbers": table(COUNT, map(int, ANGLES), by=","),
    "whole numbers and dose": table(map(int, ANGLES), range(0, 105, 3), by=","),
    "angle and dose": table(ANGLES, DOSES),
    "dose and angle": table(DOSES, ANGLES),
    "angle, order, dose": table(ANGLES, COUNT, DOSES),
    "name and angle": table(NAMES, ANGLES),
    "name, dose and angle": table(NAMES, DOSES, ANGLES),
    "header": table(COUNT, ANGLES, DOSES, by=",", head="index,tilt_deg,cumulative_dose\n"),
    "header in a comment": table(DOSES, ANGLES, head="# dose tilt\n"),
    "quoted header": table(COUNT, ANGLES, by=",", head='"order","angle"\n'),
    "header of Pascal case": table(COUNT, ANGLES, by=",", head="Index,TiltAngle\n"),
    "axis is no angle": table([85.3] * 34 + [84.0], ANGLES, by=",", head="tilt_axis_angle,tilt_angle\n"),
    "refined before nominal": table([a - 8 for a in ANGLES], ANGLES, by=",", head="nominal_tilt,refined_tilt\n"),
    "the same twice": table(ANGLES, [a + 0.01 for a in ANGLES]),
    "semicolons": table(COUNT, ANGLES, by="; "),
    "semicolons, decimal commas": table(COUNT, COMMAS, by=";", head="view;tilt angle\n"),
    "decimal commas": table(COMMAS),
    "decimal commas, blanks": table(COUNT, COMMAS),
    "commas at the end": table([f"{a}," for a in ANGLES]),
    "title": table(ANGLES, head="Tilt angles of TS_01\nin degrees\n"),
    "name of the column": table(ANGLES, head="tilt\n"),
    "number of lines": table(ANGLES, head="35\n"),
    "log of tiltalign": LOG + "resid-nm\n" + LOG_ROWS + "\n 35 views\n",
    "older log of tiltalign": LOG + "mean resid\n" + LOG_ROWS,
    "old line ends": "\r".join(map(str, ANGLES)),
}


@pytest.mark.parametrize("kind", KNOWN)
def test_the_column_of_angles_is_found(tmp_path, kind):
    found = read_tilts(write(tmp_path / "angles.txt", KNOWN[kind]))
    assert found.angles == pytest.approx(ANGLES, abs=0.011)
    assert found.sign == 1 and found.sections == tuple(range(35))


ALIGNED = table([0.997] * 35, [-0.075] * 35, [0.075] * 35, [0.997] * 35, [1.5 * i - 27 for i in range(35)], DOSES)
UNKNOWN = {
    "two columns of angles": (table(ANGLES, [a + 8 for a in ANGLES]), "which of its columns"),
    "two names": (table(ANGLES, [a + 8 for a in ANGLES], by=",", head="tilt1,tilt2\n"), "2 columns named as tilt"),
    "count and dose": (table(COUNT[:25], DOSES[:25]), "which of its columns"),
    "count and multiples": (table(COUNT[:20], range(0, 60, 3), by=","), "which of its columns"),
    "count alone": (table(COUNT), "counts from 1 to 35"),
    "radians": (table(COUNT, [a / 57.3 for a in ANGLES], by=",", head="index,tilt_rad\n"), "in radians"),
    "named otherwise": (table(ANGLES, DOSES, by=",", head="x_shift,dose\n"), "'x_shift': -42, -39, -36... (angles)"),
    "an alignment": (ALIGNED, "six columns of an alignment"),
    "a row cut off": (table(COUNT, ANGLES) + "36\n", "1 columns and not 2 as before in line 36"),
    "a word": (table(COUNT, ANGLES) + "36 high\n", "'high' in line 36"),
    "a word behind": (table(ANGLES) + "end of file\n", "3 columns and not 1 as before in line 36"),
    "comments": ("# angles\n\n", "no line but comments"),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_a_table_without_a_clear_column_is_refused(tmp_path, kind):
    text, part = UNKNOWN[kind]
    with pytest.raises(TiltError, match=re.escape(part)) as caught:
        read_tilts(write(tmp_path / "angles.txt", text))
    assert "\n" not in str(caught.value) and "expected" in str(caught.value)


def test_a_list_of_doses_is_refused_by_its_name(tmp_path):
    with pytest.raises(TiltError, match="name of a list of dose values"):
        read_tilts(write(tmp_path / "TS_01_dose.txt", table(DOSES[:20])))


def test_no_text_makes_anything_but_angles_or_one_line(tmp_path):
    """Random texts of the characters of tilt files: the angles are among the numbers, or the error has one line."""
    generator = random.Random(0)
    words = [
        "1",
        "-3.0",
        "60",
        "0",
        "-60,00",
        "4;",
        ",",
        " ",
        "\n",
        "\n",
        "\t",
        "tilt",
        "#",
        "e",
        "-",
        ".",
        "1e400",
        "_",
    ]
    words += [
        "data_\nloop_\n_wrpAngleTilt #1\n",
        "TILTFILE a.tlt\n",
        "<TiltSeries>",
        "[ZValue = 0]\nTiltAngle = ",
        "²",
        "\x85",
    ]
    names = ("a.txt", "a.tlt", "a.mdoc", "a.star", "a.xml", "tilt.com", "a_TLT.txt", "a.json", "a.aln", "a.tomostar")
    read = 0
    for trial in range(800):
        text = "".join(generator.choices(words, k=generator.randrange(1, 30)))
        path = write(tmp_path / names[trial % len(names)], text)
        try:
            found = read_tilts(path)
        except TiltError as error:
            assert ("\n" not in str(error) and "expected" in str(error)) or "check the name" in str(error)
        else:
            read += 1
            assert all(abs(angle) < 90 for angle in found.listed) and found.angles == tuple(sorted(set(found.angles)))
    assert read > 0


def test_random_series_are_found_among_random_columns(tmp_path):
    """Angles with jitter, as listed or as acquired, beside a count and a dose in any order and with any separator."""
    generator = random.Random(1)
    for trial in range(150):
        step, low, high = generator.choice([1, 2, 3, 5]), generator.randrange(-70, -20), generator.randrange(20, 70)
        angles = [a + generator.uniform(-0.03, 0.03) for a in range(low, high, step)]
        if generator.random() < 0.5:
            angles.sort(key=lambda a: abs(a - 2))
        texts = [f"{a:.3f}" for a in angles]
        columns = [texts, range(1, len(texts) + 1), [round(2.7 * (i + 1), 2) for i in range(len(texts))]]
        generator.shuffle(columns)
        text = table(*columns, by=generator.choice([" ", ",", ";", "\t", " , "]))
        found = read_tilts(write(tmp_path / f"{trial}.txt", text))
        assert found.listed == tuple(map(float, texts)), text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_are_recognised(tmp_path, encoding):
    (tmp_path / "a.tlt").write_bytes(COLUMN.encode(encoding))
    assert list(read_tilts(tmp_path / "a.tlt").angles) == TILTS


@pytest.mark.parametrize("name", ["utf-7", "utf-32-x", "idna", "rot13", "none", "", "hex", "ebcdic-cp-be"])
def test_unknown_encodings_of_xml_have_one_line(tmp_path, name):
    text = xml().replace("utf-8", name)
    with pytest.raises(TiltError, match=f"declares the encoding '{name}'; expected .* in UTF-8"):
        read_tilts(write(tmp_path / "a.xml", text))


@pytest.mark.parametrize("name", ["UTF-8", "us-ascii", "iso-8859-1", "utf-16"])
def test_known_encodings_of_xml_are_read(tmp_path, name):
    body = xml().replace("\ufeff", "").replace("utf-8", name)
    (tmp_path / "a.xml").write_bytes(body.encode(name))
    assert list(read_tilts(tmp_path / "a.xml").angles) == TILTS


def test_entities_of_xml_are_not_expanded(tmp_path):
    bomb = '<!DOCTYPE x [<!ENTITY a "1 1 1 1"><!ENTITY b "&a;&a;&a;">]>'
    text = xml().replace("<TiltSeries", bomb + "<TiltSeries", 1)
    with pytest.raises(TiltError, match="document type or entities"):
        read_tilts(write(tmp_path / "a.xml", text))


def test_only_small_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.tlt")
    (tmp_path / "folder.tlt").mkdir()
    write(tmp_path / "large.tlt", "0.01\n" * 10**6)
    (tmp_path / "packed.tlt").write_bytes(gzip.compress(COLUMN.encode()))
    write(tmp_path / "many.tlt", "".join(f"{i / 2000:.4f}\n" for i in range(100_000)))
    write(tmp_path / "many.mdoc", "".join(f"[ZValue = {i}]\nTiltAngle = {i / 2000}\n" for i in range(100_000)))
    write(tmp_path / "many.xml", f"<TiltSeries><Angles>{'1 ' * 100_000}</Angles></TiltSeries>")
    write(tmp_path / "many.star", "data_\nloop_\n_wrpAngleTilt #1\n" + "1\n" * 100_000)
    write(tmp_path / "deep.json", "[" * 100_000)
    write(tmp_path / "deep.xml", "<a>" * 100_000)
    parts = {
        "pipe.tlt": "a device or a pipe",
        "/dev/zero": "a device or a pipe",
        "folder.tlt": "a folder",
        "large.tlt": "has 4.8 MB",
        "packed.tlt": "compressed",
        "deep.json": "no valid JSON",
        "deep.xml": "no valid XML",
        "n" * 300: "check the name",
        **dict.fromkeys(("many.tlt", "many.mdoc", "many.xml", "many.star"), "(100000|99950) images"),
    }
    started = time.monotonic()
    for name, part in parts.items():
        with pytest.raises(TiltError, match=part):
            read_tilts(tmp_path / name)
    assert time.monotonic() - started < 60  # a pipe would wait for ever


def test_words_for_orders():
    assert in_order([0, 3, -3, 6, -6]) and in_order([0, 3, 6, 0, -3, -6]) and not in_order([0, 9, 3, 7, 1, 8])
    assert even_steps([0, 9, 3, -6, 6]) and not even_steps([0, 9, 1, 8.1, 2.7])
    assert counts([1, 3, 2]) and counts([0, 1, 2]) and not counts([-1, 0, 1]) and not counts([1, 2, 4])
