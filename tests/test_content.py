"""Padding, masks and halves: what is not data decides nothing, and what does not belong together is refused."""

from __future__ import annotations

import mrcfile
import numpy as np
import pytest
from test_restore import Blur, halves_like, read, save, tomogram_like

from cryowae.errors import TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.io.mrc import write_mrc
from cryowae.restore import RestoreOptions, restore_array, restore_tomogram
from cryowae.tomogram.content import content_of
from cryowae.tomogram.halves import check_halves
from cryowae.tomogram.masks import InclusionMask
from cryowae.tomogram.padding import find_padding
from cryowae.tomogram.volumes import MeanOf, require_content

SHAPE = (32, 64, 72)
QUIET = RestoreOptions(report=False)
WEDGE = Wedge.binary(-60, 60)


def places() -> dict[str, np.ndarray]:
    """Padding of several forms."""
    z, y, x = np.ogrid[:32, :64, :72]
    forms = {
        "corners": np.abs(y - 31.5) + np.abs(x - 35.5) > 50,
        "cylinder": (y - 32) ** 2 + (x - 36) ** 2 > 900,
        "margin": (y < 10) | (x > 60),
        "one column": x == 0,
        "one row": y == 63,
        "one section": z == 11,
        "band": (y > 20) & (y < 28),
    }
    return {name: np.broadcast_to(form, SHAPE) for name, form in forms.items()}


@pytest.mark.parametrize("form", places())
@pytest.mark.parametrize(("dtype", "fill"), [(np.float32, 0), (np.float32, 99.5), (np.int16, -32768), (np.uint8, 255)])
def test_padding_of_every_form_and_type_is_found(form, dtype, fill):
    expected = places()[form]
    volume = np.where(expected, fill, tomogram_like(SHAPE)).astype(dtype)
    assert (find_padding(volume) == expected).mean() > 0.999
    assert content_of(volume).statistics.mean == pytest.approx(100, abs=8)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.uint8, np.int16])
def test_data_are_no_padding(dtype):
    volume = (100 + 4 * np.random.default_rng(0).normal(size=SHAPE)).astype(dtype)
    assert not find_padding(volume).any()


def test_blocks_of_a_content_are_parts_of_the_whole():
    volume = np.where(places()["cylinder"], 7, tomogram_like(SHAPE)).astype(np.float32)
    content = content_of(volume)
    whole = content[:]
    assert np.ptp(whole[places()["cylinder"]]) == 0
    for key in ((slice(3, 9), slice(0, 7), slice(30, 71)), (slice(5, 30, 2), 4), (31,), slice(0, 2)):
        assert (content[key] == whole[key]).all()


@pytest.mark.parametrize("consistency", ["off", "soft", "hard"])
@pytest.mark.parametrize("fill", [0, -5e4])
def test_padding_comes_back_and_changes_nothing_far_from_it(consistency, fill):
    plain, form = tomogram_like(SHAPE), places()["margin"]
    facts = {"wedge": WEDGE, "voxel_size": 10.0, "model": Blur(), "options": RestoreOptions(consistency=consistency)}
    expected = restore_array(plain, **facts).data
    found = restore_array(np.where(form, fill, plain).astype(np.float32), **facts)
    assert found.contrast == "bright" and (found.data[form] == fill).all()
    inner = (slice(None), slice(24, None), slice(0, 48))
    assert np.corrcoef(found.data[inner].ravel(), expected[inner].ravel())[0, 1] > 0.97
    assert found.data[inner].mean() == pytest.approx(expected[inner].mean(), abs=0.1 * float(plain.std()))


def test_padding_of_one_half_is_padding_of_the_mean():
    first, second = halves_like(SHAPE)
    content = content_of(MeanOf(np.where(places()["band"], 0, first).astype(np.float32), second))
    assert (content.read(slice(None))[1] == ~places()["band"]).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_identical_sections_are_refused(axis):
    volume = np.repeat(tomogram_like(SHAPE).take([3], axis), SHAPE[axis], axis)
    with pytest.raises(TomogramError, match=f"the same all along {'zyx'[axis]}"):
        require_content(volume, "tomo.mrc")
    padded = np.where(np.arange(32)[:, None, None] < 5, 0, volume) if axis == 0 else volume
    with pytest.raises(TomogramError, match="identical"):
        require_content(padded, "tomo.mrc")


def test_a_volume_that_is_constant_within_its_content_is_refused():
    with pytest.raises(TomogramError, match="constant parts"):
        _ = content_of(np.where(places()["cylinder"], 0, 5).astype(np.float32)).statistics


TWO = np.broadcast_to(np.arange(64)[:, None] < 30, SHAPE)


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(-128, -127, np.int8), (-128, 127, np.int8), (0, 255, np.uint8), (-1, 1, np.int16), (1, 2, np.float32)],
)
def test_masks_of_two_values_are_recognised_and_said(low, high, dtype):
    mask = InclusionMask(np.where(TWO, high, low).astype(dtype), "mask.mrc")
    assert (mask[:] == TWO).all() and f"{low:g} and {high:g}" in mask.note


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0.5), (False, True)])
def test_masks_of_0_to_1_are_taken_as_they_are(low, high):
    mask = InclusionMask(np.where(TWO, high, low))
    assert (mask[:] == np.where(TWO, high, low)).all() and not mask.note


@pytest.mark.parametrize(
    "values", [(0, 0), (-1, 0), (-3, -2), (-128, -128), (0, 100, 255), (-128, -60, 127), (0, 1, 7)]
)
def test_other_masks_are_refused(values):
    volume = np.resize(np.array(values, np.float32), SHAPE)
    with pytest.raises(TomogramError, match="expected a mask of 0 to 1"):
        InclusionMask(volume, "mask.mrc")


def test_imod_bytes_as_a_mask_restore_its_inside(tmp_path):
    volume = tomogram_like(SHAPE)
    with mrcfile.new(tmp_path / "mask.mrc", np.where(TWO, -127, -128).astype(np.int8)) as file:
        file.voxel_size = 10.0
    source = save(tmp_path, volume)
    result = restore_tomogram(source, mask=tmp_path / "mask.mrc", model=Blur(), options=QUIET)
    made = read(result.path)
    assert (made[~TWO] == volume[~TWO]).all() and (made[TWO] != volume[TWO]).mean() > 0.99
    assert any("taken as 0 and 1" in note for note in result.notes)


def test_halves_are_told_apart():
    first, second = halves_like((48, 64, 72))
    other = halves_like((48, 64, 72))[1][:, ::-1, ::-1]
    assert check_halves(first, second, WEDGE) == ()
    assert check_halves(first, 50 * second + 300, WEDGE) == ()
    for wrong, reason in ((first, "same data"), (3 * first + 7, "same data"), (-second, "opposite signs")):
        with pytest.raises(TomogramError, match=reason):
            check_halves(first, wrong, WEDGE)
    with pytest.raises(TomogramError, match="do not show the same"):
        check_halves(first, other, WEDGE)
    assert "share noise" in check_halves((first + second) / 2, second, WEDGE)[0]


def test_halves_of_noise_give_a_warning():
    first, second = (np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32) for seed in (1, 2))
    assert "do not correlate" in check_halves(first, second, WEDGE)[0]


@pytest.mark.parametrize(("factor", "offset"), [(50, 300), (1e-3, -9)])
def test_scale_and_offset_of_halves_are_taken_out(tmp_path, factor, offset):
    first, second = halves_like(SHAPE)
    source, results = save(tmp_path, (first + second) / 2), []
    for name, half in (("plain", second), ("scaled", factor * second + offset)):
        pair = {"half1": save(tmp_path, first, "a"), "half2": save(tmp_path, half.astype(np.float32), name)}
        options = RestoreOptions(consistency="soft", report=False)
        results.append(
            read(restore_tomogram(source, tmp_path / f"{name}.out.mrc", **pair, model=Blur(), options=options).path)
        )
        (tmp_path / "a.mrc").unlink()
    assert np.abs(results[0] - results[1]).max() < 1e-3 * first.std()


def test_halves_on_another_grid_or_of_another_tomogram_are_refused(tmp_path):
    first, second = halves_like(SHAPE)
    source, one = save(tmp_path, (first + second) / 2), save(tmp_path, first, "a")
    write_mrc(tmp_path / "b.mrc", second, voxel_size=13)
    with pytest.raises(TomogramError, match="voxels of 13 Å in its header, expected 10 Å"):
        restore_tomogram(source, half1=one, half2=tmp_path / "b.mrc", model=Blur(), options=QUIET)
    two = save(tmp_path, second, "c")
    turned = save(tmp_path, ((first + second) / 2)[:, ::-1, ::-1].copy(), "turned")
    with pytest.raises(TomogramError, match=r"turned.mrc and its half .* do not show the same"):
        restore_tomogram(turned, half1=one, half2=two, model=Blur(), options=QUIET)
