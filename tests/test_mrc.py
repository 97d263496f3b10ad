"""Reading and writing MRC volumes: every mode, both byte orders, every error, and no files left after an error."""

from __future__ import annotations

import bz2
import errno
import gzip
import os
import re
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryowae.errors import OutputError, TomogramError
from cryowae.io.mrc import MrcWriter, file_shape, in_zyx, read_mrc, stem_of, write_mrc
from cryowae.io.outputs import check_output, reserve_file

SHAPE = (5, 6, 7)
TYPES = {0: np.int8, 1: np.int16, 2: np.float32, 6: np.uint16, 12: np.float16}


def ramp(dtype=np.float32):
    return (np.arange(np.prod(SHAPE)) % 120).reshape(SHAPE).astype(dtype)


def make(path: Path, data=None, voxel_size=10.0, **fields) -> Path:
    """An MRC file written by mrcfile, with header fields changed afterwards."""
    with mrcfile.new(path, ramp() if data is None else data, overwrite=True) as mrc:
        mrc.voxel_size = voxel_size
        mrc.set_volume()
        for name, value in fields.items():
            mrc.header[name] = value
    return path


def patch(path: Path, offset: int, content: bytes) -> Path:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)
    return path


@pytest.mark.parametrize("mode", TYPES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_reads_all_modes_in_both_byte_orders(tmp_path, mode, order):
    path = make(tmp_path / "a.mrc", ramp(TYPES[mode]))
    if order == ">":
        header = np.frombuffer(path.read_bytes()[:1024], mrcfile.dtypes.HEADER_DTYPE).copy()
        header["machst"] = (0x11, 0x11, 0, 0)
        swapped = header.astype(header.dtype.newbyteorder(">")).tobytes()
        path.write_bytes(swapped + ramp(TYPES[mode]).astype(np.dtype(TYPES[mode]).newbyteorder(">")).tobytes())
    volume = read_mrc(path)
    assert volume.header.mode == mode
    assert volume.header.byte_order == order
    assert volume.voxel_size == 10.0
    assert volume.notes == ()
    np.testing.assert_array_equal(np.asarray(volume.data, np.float32), ramp())


@pytest.mark.parametrize("ending", [".mrc", ".rec", ".map", ".st"])
@pytest.mark.parametrize(("packing", "pack"), [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress)])
def test_names_and_compression(tmp_path, ending, packing, pack):
    plain = make(tmp_path / "plain.mrc")
    path = tmp_path / f"TS_1.x{ending}{packing}"
    path.write_bytes(pack(plain.read_bytes()))
    volume = read_mrc(path)
    np.testing.assert_array_equal(volume.data, ramp())
    assert isinstance(volume.data, np.memmap) == (packing == "")
    assert not volume.data.flags.writeable
    assert stem_of(path) == "TS_1.x"


def test_bytes_of_imod_are_unsigned_without_its_flag_for_signed_bytes(tmp_path):
    path = make(tmp_path / "a.mrc", np.full(SHAPE, -1, np.int8))
    assert read_mrc(path).data.max() == -1
    patch(path, 152, np.array([1146047817, 0], "<i4").tobytes())
    assert read_mrc(path).data.min() == 255
    patch(path, 152, np.array([1146047817, 1], "<i4").tobytes())
    assert read_mrc(path).data.max() == -1


def test_voxel_size_has_no_rounding_error_of_single_precision(tmp_path):
    assert read_mrc(make(tmp_path / "a.mrc", voxel_size=7.84)).voxel_size == 7.84


def test_notes_name_what_is_unusual(tmp_path):
    assert "--voxel-size" in read_mrc(make(tmp_path / "one.mrc", voxel_size=1.0)).notes[0]
    assert "identifier" in read_mrc(make(tmp_path / "old.mrc", map=b"")).notes[0]
    longer = make(tmp_path / "longer.mrc")
    longer.write_bytes(longer.read_bytes() + b"12345")
    assert "5 bytes after" in read_mrc(longer).notes[0]


def test_a_given_voxel_size_replaces_that_of_the_header(tmp_path):
    assert read_mrc(make(tmp_path / "a.mrc", voxel_size=0), voxel_size=7.5).voxel_size == 7.5
    assert read_mrc(make(tmp_path / "b.mrc", voxel_size=(10, 10, 30)), voxel_size=8.0).voxel_size == 8.0


def test_stack_whose_sections_are_not_counted_in_mz(tmp_path):
    path = make(tmp_path / "a.mrc", voxel_size=10.0, mz=1)
    assert read_mrc(path).voxel_size == 10.0


def raw(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def good(path: Path) -> bytes:
    return make(path.with_name("good.mrc")).read_bytes()


UNUSABLE = {
    "missing": (lambda path: path, "does not exist"),
    "folder": (lambda path: path.parent, "is a folder"),
    "zero bytes": (lambda path: raw(path, b""), "zero bytes"),
    "short": (lambda path: raw(path, good(path)[:500]), "not an MRC"),
    "text": (lambda path: raw(path, b"these are words " * 200), "not an MRC"),
    "zeros": (lambda path: raw(path, bytes(4096)), "not an MRC"),
    "truncated": (lambda path: raw(path, good(path)[:-1]), "truncated"),
    "header only": (lambda path: raw(path, good(path)[:1024]), "truncated"),
    "broken gzip": (lambda path: raw(path, gzip.compress(good(path))[:-20]), "damaged compressed"),
    "broken bzip2": (lambda path: raw(path, bz2.compress(good(path))[:-20]), "damaged compressed"),
    "image": (lambda path: make(path, ramp()[:1]), "2-D"),
    "line": (lambda path: make(path, ramp()[:, :, :1]), "2-D"),
    "complex": (lambda path: make(path, ramp(np.complex64)), "complex"),
    "complex short": (lambda path: make(path, mode=3), "complex"),
    "mode": (lambda path: make(path, mode=101), "mode 101"),
    "no voxel size": (lambda path: make(path, voxel_size=0), "--voxel-size"),
    "anisotropic": (lambda path: make(path, voxel_size=(10, 10, 12)), "anisotropic"),
    "axes": (lambda path: make(path, mapc=3, mapr=2, maps=1), "axes in the order"),
    "volumes": (lambda path: make(path, np.zeros((6, 4, 4), np.float32), ispg=401, mz=3), "stack of 2 volumes"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_files_give_one_clear_line(tmp_path, name):
    build, part = UNUSABLE[name]
    path = build(tmp_path / "input.mrc")
    with pytest.raises(TomogramError, match=re.escape(part)) as caught:
        read_mrc(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert "expected" in message or "again" in message  # expected value and remedy


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan")])
def test_impossible_voxel_size_given(tmp_path, size):
    with pytest.raises(TomogramError, match="positive"):
        read_mrc(make(tmp_path / "a.mrc"), voxel_size=size)


@pytest.mark.parametrize("float16", [False, True])
def test_written_volume_is_valid_and_keeps_the_header(tmp_path, float16):
    source = make(tmp_path / "a.mrc", ramp(np.int16), nxstart=3, nystart=-4, nzstart=5)
    with mrcfile.open(source, "r+") as mrc:
        mrc.header.origin = (1.5, -2.5, 3.5)
        mrc.add_label("made by a test")
        mrc.set_extended_header(np.frombuffer(bytes(range(256)) * 3, "V1"))
        mrc.header.exttyp = b"SERI"
    header = read_mrc(source).header
    values = np.random.default_rng(1).normal(3, 2, SHAPE).astype(np.float32)
    target = tmp_path / "b.mrc"
    write_mrc(target, values, voxel_size=12.5, like=header, float16=float16, label="restored")
    assert mrcfile.validate(target)
    again = read_mrc(target)
    assert again.voxel_size == 12.5
    assert again.header.mode == (12 if float16 else 2)
    assert again.header.origin == (1.5, -2.5, 3.5)
    assert again.header.nstart == (3, -4, 5)
    assert again.header.extended == bytes(range(256)) * 3
    assert bytes(again.header.record["exttyp"]) == b"SERI"
    assert again.header.labels[:-1] == header.labels
    assert again.header.labels[-1].startswith("cryowae")
    assert again.header.labels[-1].endswith("restored")
    stored = np.asarray(again.data, np.float64)
    np.testing.assert_allclose(stored, values, atol=1e-2 if float16 else 0)
    record = again.header.record
    assert [record["dmin"], record["dmax"]] == [stored.min(), stored.max()]
    assert record["dmean"] == pytest.approx(stored.mean(), rel=1e-6)
    assert record["rms"] == pytest.approx(stored.std(), rel=1e-6)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mrc", "b.mrc"]


def test_statistics_are_exact_where_single_precision_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr("cryowae.io.mrc._SLAB_VOXELS", 100)
    values = (1e4 + np.random.default_rng(2).normal(size=(40, 30, 20))).astype(np.float32)
    write_mrc(tmp_path / "a.mrc", values, voxel_size=10)
    record = read_mrc(tmp_path / "a.mrc").header.record
    assert record["dmean"] == np.float32(values.mean(dtype=np.float64))
    assert record["rms"] == pytest.approx(values.std(dtype=np.float64), rel=1e-6)


def test_the_last_of_ten_labels_is_replaced(tmp_path):
    source = make(tmp_path / "a.mrc")
    with mrcfile.open(source, "r+") as mrc:
        while mrc.header.nlabl < 10:
            mrc.add_label(f"label {mrc.header.nlabl}")
    header = read_mrc(source).header
    write_mrc(tmp_path / "b.mrc", ramp(), voxel_size=10, like=header)
    labels = read_mrc(tmp_path / "b.mrc").header.labels
    assert labels[:9] == header.labels[:9] and labels[9].startswith("cryowae ")
    assert mrcfile.validate(tmp_path / "b.mrc")


def test_big_endian_input_becomes_a_valid_output(tmp_path):
    path = make(tmp_path / "a.mrc")
    header = np.frombuffer(path.read_bytes()[:1024], mrcfile.dtypes.HEADER_DTYPE).copy()
    header["machst"] = (0x11, 0x11, 0, 0)
    path.write_bytes(header.astype(header.dtype.newbyteorder(">")).tobytes() + ramp(">f4").tobytes())
    volume = read_mrc(path)
    write_mrc(tmp_path / "b.mrc", volume.data, voxel_size=volume.voxel_size, like=volume.header)
    assert mrcfile.validate(tmp_path / "b.mrc")
    np.testing.assert_array_equal(read_mrc(tmp_path / "b.mrc").data, ramp())


def test_extended_header_of_a_real_file_is_carried_over_byte_for_byte(tmp_path, data_folder):
    source = data_folder / "tilt" / "etspy_HAADF_77tilts.mrc.gz"
    if not source.exists():
        pytest.skip(f"{source.name} is not in the data folder")
    header = read_mrc(source).header
    assert len(header.extended) == 131072
    write_mrc(tmp_path / "b.mrc", ramp(), voxel_size=10, like=header)
    with gzip.open(source) as file:
        original = file.read(1024 + 131072)[1024:]
    assert (tmp_path / "b.mrc").read_bytes()[1024 : 1024 + 131072] == original
    assert mrcfile.validate(tmp_path / "b.mrc")


def test_thickness_on_the_second_axis_is_rotated_and_not_mirrored():
    columns_x, rows_z, sections_y = np.meshgrid(np.arange(4), np.arange(3), np.arange(5), indexing="ij")
    stored = (100 * sections_y + 10 * rows_z + columns_x).transpose(2, 1, 0)  # (sections, rows, columns)
    view = in_zyx(stored, "xzy")
    assert view.base is not None
    assert view.shape == (3, 5, 4)
    assert file_shape(view.shape, "xzy") == stored.shape
    # three right-handed directions of the file, read in the view: the determinant of the change of axes is +1
    origin = np.argwhere(view == 111)[0]
    steps = [np.argwhere(view == 111 + step)[0] - origin for step in (1, 10, 100)]  # file x, y, z as view (z, y, x)
    assert np.linalg.det([step[::-1] for step in steps]) == pytest.approx(1)


def test_writer_keeps_the_order_of_axes(tmp_path):
    stored = np.random.default_rng(3).normal(size=(5, 3, 4)).astype(np.float32)
    with MrcWriter(tmp_path / "a.mrc", (3, 5, 4), voxel_size=10, axes="xzy") as writer:
        writer.data[:] = in_zyx(stored, "xzy")
    np.testing.assert_array_equal(read_mrc(tmp_path / "a.mrc").data, stored)


def test_unknown_axes_are_refused():
    with pytest.raises(TomogramError, match="expected zyx"):
        in_zyx(ramp(), "yxz")


def test_existing_output_needs_overwrite(tmp_path):
    target = make(tmp_path / "a.mrc")
    before = target.read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        MrcWriter(target, SHAPE, voxel_size=10)
    assert target.read_bytes() == before
    write_mrc(target, ramp() + 1, voxel_size=10, overwrite=True)
    np.testing.assert_array_equal(read_mrc(target).data, ramp() + 1)


def test_input_may_be_overwritten_while_it_is_mapped(tmp_path):
    path = make(tmp_path / "a.mrc")
    volume = read_mrc(path)
    write_mrc(path, np.asarray(volume.data) * 2, voxel_size=10, overwrite=True)
    np.testing.assert_array_equal(read_mrc(path).data, ramp() * 2)
    np.testing.assert_array_equal(volume.data, ramp())


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_nothing_is_left_after_an_interrupt(tmp_path, error):
    target = make(tmp_path / "a.mrc")
    before = target.read_bytes()
    with pytest.raises(error), MrcWriter(target, SHAPE, voxel_size=10, overwrite=True) as writer:
        writer.data[0] = 1
        assert len(list(tmp_path.iterdir())) == 2
        raise error
    assert [p.name for p in tmp_path.iterdir()] == ["a.mrc"]
    assert target.read_bytes() == before


def test_an_output_that_appears_during_the_work_is_not_replaced(tmp_path):
    target = tmp_path / "a.mrc"
    with pytest.raises(OutputError, match="exists"), MrcWriter(target, SHAPE, voxel_size=10):
        target.write_text("somebody else's")
    assert target.read_text() == "somebody else's"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_an_error_before_the_file_is_mapped(tmp_path, monkeypatch):
    def full(descriptor, offset, length):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with (
        pytest.raises(OutputError, match=r"too full: .* are needed .* are free"),
        MrcWriter(tmp_path / "a.mrc", SHAPE, voxel_size=10),
    ):
        pytest.fail("must not be reached")
    assert list(tmp_path.iterdir()) == []


def test_space_is_written_where_it_cannot_be_reserved(tmp_path, monkeypatch):
    def unsupported(descriptor, offset, length):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    reserve_file(tmp_path / "a", 3_000_000)
    assert (tmp_path / "a").read_bytes() == bytes(3_000_000)


def test_reserved_space_is_on_the_disk(tmp_path):
    reserve_file(tmp_path / "a", 1_000_000)
    assert (tmp_path / "a").stat().st_blocks * 512 >= 1_000_000


def test_float16_that_overflows_is_refused(tmp_path):
    with pytest.raises(OutputError, match="float16"):
        write_mrc(tmp_path / "a.mrc", ramp() * 1e4, voxel_size=10, float16=True)
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_cannot_be_written_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for path, part in [
        (tmp_path / "file" / "a.mrc", "not a folder"),
        (tmp_path, "is a folder"),
        (tmp_path / "a.mrc.gz", "compressed"),
    ]:
        with pytest.raises(OutputError, match=part):
            check_output(path, overwrite=True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="not writable"):
        MrcWriter(tmp_path / "a.mrc", SHAPE, voxel_size=10)


def test_data_outside_the_with_block_are_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="with block"):
        _ = MrcWriter(tmp_path / "a.mrc", SHAPE, voxel_size=10).data
