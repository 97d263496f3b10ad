"""STAR files: RELION's Euler angles give the rotation back, and other programs can read the tables."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryowae.io.star import relion_angles, star_table

starfile = pytest.importorskip("starfile", reason="reads the tables: pip install starfile")


def from_relion(angles):
    """RELION's rotation of a reference, for (z, y, x) vectors: the transpose of the intrinsic ZYZ rotation."""
    return Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().T[::-1, ::-1]


def test_relion_angles_reproduce_the_rotation():
    for rotation in Rotation.random(200, random_state=1).as_matrix():
        angles = relion_angles(rotation)
        assert 0 <= angles[1] <= 180
        assert np.abs(from_relion(angles) - rotation).max() < 1e-6


@pytest.mark.parametrize("flip", [np.eye(3), np.diag([-1.0, -1.0, 1.0]), np.diag([-1.0, 1.0, -1.0])])
@pytest.mark.parametrize("turn", [0.0, 40.0, 180.0, -120.0])
def test_rotations_about_the_beam_have_angles(flip, turn):
    rotation = Rotation.from_euler("z", turn, degrees=True).as_matrix()[::-1, ::-1] @ flip
    assert np.abs(from_relion(relion_angles(rotation)) - rotation).max() < 1e-6


def test_a_rotation_about_y_is_the_tilt_angle():
    """RELION's direction: a tilt of 30 degrees takes the z axis of the reference to x = -sin 30."""
    half = 3**0.5 / 2
    to_xyz = np.array([[half, 0, -0.5], [0, 1, 0], [0.5, 0, half]])
    assert relion_angles(to_xyz[::-1, ::-1]) == pytest.approx((0, 30, 0), abs=1e-9)


def test_starfile_reads_the_table(tmp_path):
    columns = {"rlnTomoName": ["a b", "b"], "rlnCoordinateX": [1.25, -0.0], "rlnClassNumber": [1, 2]}
    text = star_table("optics", {"rlnVoltage": [300.0]}) + star_table("particles", columns)
    (tmp_path / "p.star").write_text(text)
    found = starfile.read(tmp_path / "p.star", always_dict=True)
    assert list(found) == ["optics", "particles"]
    table = found["particles"]
    assert list(table.columns) == list(columns)
    assert list(table["rlnTomoName"]) == columns["rlnTomoName"]
    assert list(table["rlnCoordinateX"]) == [1.25, 0.0]
    assert list(table["rlnClassNumber"]) == [1, 2]
    assert "-0.0" not in text


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(ValueError):
        star_table("particles", {"a": [1, 2], "b": [1]})
