"""The plugin without a display: manifest, reader, writer, lazy opening, and layers in a viewer's model."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from typer.testing import CliRunner

from cryowae._napari.derived_layers import delete_with, is_temporary, look_of, sample_scene, temporary_folder
from cryowae._napari.layers import (
    TOMOGRAM,
    layer_data,
    open_for_viewing,
    percentile_limits,
    require_volume,
    tomogram_from,
    volumes_of,
    voxel_size_of,
    write_volume,
)
from cryowae._napari.reading import get_reader, read_volumes
from cryowae._napari.viewing import camera_of, grid_of, show_files, show_scale_bar
from cryowae.cli import app
from cryowae.errors import ConfigError, OutputError, TomogramError
from cryowae.io.mrc import write_mrc
from cryowae.io.neighbours import find_versions

napari = pytest.importorskip("napari")
npe2 = pytest.importorskip("npe2")
SHAPE = (12, 20, 16)


def save(folder: Path, name: str = "tomo.mrc", dtype="f4", voxel_size: float = 10.0, seed: int = 0, tilts=True) -> Path:
    """A volume whose header has all fields that other programs need."""
    volume = (100 + 20 * np.random.default_rng(seed).normal(size=SHAPE)).astype(dtype)
    with mrcfile.new(folder / name, overwrite=True) as file:
        file.set_data(volume)
        file.voxel_size = voxel_size
        file.header.origin = (10, 20, 30)
        file.header.nxstart, file.header.nystart, file.header.nzstart = 1, 2, 3
        file.add_label("made by hand")
        file.set_extended_header(np.frombuffer(b"what IMOD left!!", "V16"))
        file.header.exttyp = b"SERI"
    if tilts:
        (folder / f"{Path(name).stem}.tlt").write_text("-60\n0\n60\n")
    return folder / name


def model():
    from napari.components import ViewerModel

    return ViewerModel()


def test_manifest_is_valid_and_its_names_exist():
    manifest = npe2.PluginManifest.from_distribution("cryowae")
    manifest.validate_imports()
    assert manifest.name == "cryowae" and manifest.display_name == "cryowae"
    found = manifest.contributions
    assert [widget.display_name for widget in found.widgets] == [
        "Restore",
        "Fit",
        "Compare",
        "Uncertainty",
        "Simulate wedge",
    ]
    assert {p for reader in found.readers for p in reader.filename_patterns} >= {"*.mrc", "*.rec", "*.map", "*.st"}
    assert found.writers and found.sample_data


def test_importing_the_plugin_imports_neither_qt_nor_napari():
    code = (
        "import sys, cryowae._napari.derived_layers, cryowae._napari.viewing, cryowae.cli; "
        "sys.exit(any(m.split('.')[0] in ('qtpy', 'PyQt6', 'PySide6', 'napari') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_reader_takes_volumes_only():
    for name in ("a.mrc", "a.REC", "a.map", "a.st", "a.mrc.gz"):
        assert get_reader(name) is not None
    assert get_reader("a.tif") is None and get_reader(["a.mrc", "a.tif"]) is None and get_reader([]) is None


def test_layer_has_scale_units_axes_greys_and_header(tmp_path):
    path = save(tmp_path)
    (layer,) = get_reader(str(path))(str(path))
    data, options, kind = layer
    assert kind == "image" and isinstance(data, np.memmap) and options["name"] == "tomo"
    assert options["scale"] == (10, 10, 10) and options["units"] == ("angstrom",) * 3
    low, high = options["contrast_limits"]
    assert np.percentile(data, 0.5) < low < 100 < high < np.percentile(data, 99.5)
    header = options["metadata"]["header"]
    assert header["origin"] == (10, 20, 30) and header["nstart"] == (1, 2, 3) and "made by hand" in header["labels"]
    assert options["metadata"][TOMOGRAM].wedge.tilt_max == 60

    viewer = model()
    shown = viewer.add_image(data, **options)
    assert shown.data is data  # no data were read or copied
    assert [str(unit) for unit in shown.units] == ["angstrom"] * 3 and tuple(shown.axis_labels) == ("z", "y", "x")
    assert tuple(viewer.dims.range[0]) == (0, 10 * (SHAPE[0] - 1), 10)


@pytest.mark.parametrize(("dtype", "mode"), [("f4", 2), ("f2", 12), ("i2", 2), (">f4", 2)])
def test_saved_files_equal_opened_files(tmp_path, dtype, mode):
    path = save(tmp_path, dtype=dtype)
    (layer,) = read_volumes(str(path))
    target = str(tmp_path / "saved.mrc")
    shown = model().add_image(layer[0], **layer[1])
    data, meta, _ = shown.as_layer_data_tuple()
    assert write_volume(target, data, meta) == [target]
    with mrcfile.open(path) as before, mrcfile.open(target) as after:
        assert np.array_equal(before.data.astype("f4"), after.data.astype("f4")) and after.header.mode == mode
        assert before.voxel_size == after.voxel_size and before.header.origin == after.header.origin
        assert before.nstart == after.nstart
        assert bytes(after.extended_header) == bytes(before.extended_header) == b"what IMOD left!!"
        assert bytes(after.header.exttyp) == b"SERI" and "made by hand" in after.get_labels()
    assert dtype == "f2" or mrcfile.validate(target)  # which computes the mean of half precision in half precision


def test_a_file_with_other_axes_keeps_their_order(tmp_path):
    path = save(tmp_path)
    data, options, _ = layer_data(open_for_viewing(path, axes="xzy"))
    assert data.shape == (20, 12, 16)
    write_volume(str(tmp_path / "saved.mrc"), data, options)
    with mrcfile.open(path) as before, mrcfile.open(tmp_path / "saved.mrc") as after:
        assert np.array_equal(before.data, after.data)


def test_saving_over_the_displayed_file_keeps_its_data(tmp_path):
    path = save(tmp_path)
    ((data, options, _),) = read_volumes(str(path))
    before = np.array(data)
    write_volume(str(path), data, options)
    with mrcfile.open(path) as file:
        assert np.array_equal(file.data, before)
    assert np.array_equal(data, before)


def test_layers_that_are_not_volumes_are_refused(tmp_path):
    meta = {"name": "picture", "scale": (1, 1, 1)}
    with pytest.raises(TomogramError, match="'picture' holds 4 x 4 values"):
        write_volume(str(tmp_path / "a.mrc"), np.zeros((4, 4)), meta)
    with pytest.raises(TomogramError, match="expected three equal edges"):
        write_volume(str(tmp_path / "a.mrc"), np.zeros((4, 4, 4)), meta | {"scale": (5, 1, 1)})
    with pytest.raises(OutputError, match="no name for an MRC file"):
        write_volume(str(tmp_path / "a.tif"), np.zeros((4, 4, 4)), meta)
    assert not list(tmp_path.iterdir())


def test_a_pyramid_is_refused_and_its_coarsest_level_not_used(tmp_path):
    levels = [np.zeros((n, n, n), np.float32) for n in (16, 8)]
    pyramid = napari.layers.Image(levels, multiscale=True, name="coarse", scale=(10,) * 3)
    for act in (lambda: require_volume(pyramid.data, "coarse"), lambda: tomogram_from(pyramid)):
        with pytest.raises(TomogramError, match="'coarse' is a pyramid"):
            act()
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_replaced_does_not_change_the_layer(tmp_path):
    ((data, options, _),) = read_volumes(str(save(tmp_path)))
    shown, before = model().add_image(data, **options), np.array(data)
    os.replace(save(tmp_path, "other.mrc", seed=1), tmp_path / "tomo.mrc")
    found = tomogram_from(shown)
    assert found.path.name == "tomo.mrc" and np.array_equal(found.data, before)


def test_values_that_are_not_finite_are_refused_in_one_line(tmp_path):
    volume = np.zeros((4, 4, 4), np.float32)
    volume[2, 1, 1] = np.nan
    layer = napari.layers.Image(volume, name="holed")
    for act in (
        lambda: tomogram_from(layer),
        lambda: write_volume(str(tmp_path / "a.mrc"), volume, {"name": "holed"}),
    ):
        with pytest.raises(TomogramError, match="'holed' has NaN values"):
            act()
    assert not list(tmp_path.iterdir())


def test_volumes_are_images_of_three_axes_without_colours():
    viewer = model()
    volume = viewer.add_image(np.zeros((4, 4, 4)))
    viewer.add_image(np.zeros((4, 4, 4, 3)), rgb=True)
    viewer.add_image(np.zeros((2, 4, 4, 4)))
    viewer.add_labels(np.zeros((4, 4, 4), int))
    assert volumes_of(viewer) == [volume]


def test_units_become_angstrom():
    assert voxel_size_of((1, 1, 1), ("nanometer",) * 3) == 10
    assert voxel_size_of((8, 8, 8), ("pixel",) * 3) == 8  # no unit of length: the scale is used unchanged
    assert voxel_size_of((0.001,) * 3, ("micrometer",) * 3) == 10


def test_a_layer_becomes_a_tomogram_with_its_values_and_its_scale(tmp_path):
    path = save(tmp_path)
    viewer = model()
    ((data, options, _),) = read_volumes(str(path))
    shown = viewer.add_image(data, **options)
    found = tomogram_from(shown)
    assert found.path == path and found.data is data and found.voxel_size == 10 and found.wedge.tilt_max == 60
    shown.scale = (12, 12, 12)  # corrected by the user
    assert tomogram_from(shown).voxel_size == 12 and tomogram_from(shown).data is data
    made = viewer.add_image(np.array(data) * 2, scale=(1, 1, 1), units=("nm",) * 3, name="twice / it")
    found = tomogram_from(made)
    assert str(found.path) == "twice_it" and found.voxel_size == 10 and found.wedge is None
    assert np.array_equal(found.data, made.data)
    shown.data = np.array(data) + 1  # no longer the content of the file
    found = tomogram_from(shown)
    assert np.array_equal(found.data, np.array(data) + 1) and found.header.origin == (10, 20, 30)
    assert found.path == path and found.wedge.tilt_max == 60


def test_values_in_memory_are_used_as_they_are_and_no_file_is_written(tmp_path):
    volume = np.random.default_rng(0).normal(size=SHAPE)
    layer = napari.layers.Image(volume, scale=(10,) * 3)
    before = set(temporary_folder().parent.rglob("*"))
    found = tomogram_from(layer)
    volume[3, 4, 5] = 7  # one voxel, in place
    assert found.data[3, 4, 5] == 7 and tomogram_from(layer).data[3, 4, 5] == 7
    write_mrc(tmp_path / "a.mrc", found.data, voxel_size=found.voxel_size, like=found.header)
    assert mrcfile.validate(tmp_path / "a.mrc")  # the blank header is filled in
    assert set(temporary_folder().parent.rglob("*.mrc")) <= before


def test_a_temporary_file_is_deleted_with_its_layer_and_other_files_are_not(tmp_path):
    layer = napari.layers.Image(np.zeros(SHAPE))
    made, own = temporary_folder() / "made.mrc", tmp_path / "own.mrc"
    for path in (made, own):
        path.touch()
        delete_with(layer, path)
    assert is_temporary(made) and not is_temporary(own)
    del layer
    gc.collect()
    assert not made.parent.exists() and own.exists()


def test_derived_layers_lie_where_their_layer_lies():
    turned = {"rotate": 30, "affine": np.diag([1, 2, 1, 1])}
    for options in ({}, turned):
        layer = napari.layers.Image(np.zeros(SHAPE), scale=(1,) * 3, units=("nm",) * 3, translate=(5, -6, 7), **options)
        for start in ((0, 0, 0), (2, 3, 4)):
            part = napari.layers.Image(np.zeros((4, 4, 4)), **look_of(layer, start))
            assert part.units == layer.units and np.allclose(part.data_to_world((0, 0, 0)), layer.data_to_world(start))
            assert np.allclose(part.data_to_world((1, 2, 3)), layer.data_to_world(np.add(start, (1, 2, 3))))


def test_a_volume_without_voxel_size_or_with_damaged_angles_can_be_looked_at(tmp_path):
    opened = open_for_viewing(save(tmp_path, "a.mrc", voxel_size=0))
    assert opened.voxel_size == 1 and any("voxel size 0" in note for note in opened.notes)
    save(tmp_path, "b.mrc")
    (tmp_path / "b.tlt").write_text("no\nangles\n")
    opened = open_for_viewing(tmp_path / "b.mrc")
    assert opened.wedge is None and any("b.tlt" in note for note in opened.notes)


def test_percentile_limits_of_odd_volumes():
    assert percentile_limits(np.full((4, 4, 4), 7.0)) == (6, 8)
    volume = np.arange(1000.0).reshape(10, 10, 10)
    volume[3] = np.nan
    low, high = percentile_limits(volume)
    assert 0 < low < 20 and 980 < high < 999


class Recorded:
    """A volume of zeros that counts the voxels that are read, and refuses to be read as a whole."""

    ndim, dtype, shape = 3, np.dtype(np.float32), (512, 1024, 1024)
    size, nbytes, read = 2**29, 2**31, 0

    def __getitem__(self, key: object) -> np.ndarray:
        part = np.broadcast_to(np.float32(0), self.shape)[key]
        self.read += part.size
        return part

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise AssertionError("the whole volume was read")


def test_a_large_volume_is_mapped_and_read_in_slices(tmp_path):
    with mrcfile.new_mmap(tmp_path / "large.mrc", Recorded.shape, mrc_mode=2) as file:  # 2 GB, sparse
        file.voxel_size = 10
    ((mapped, options, _),) = read_volumes(str(tmp_path / "large.mrc"))
    viewer = napari.components.ViewerModel()
    assert isinstance(mapped, np.memmap) and mapped.nbytes == 2**31
    assert viewer.add_image(mapped, **options).data is mapped
    tomogram = replace(options["metadata"][TOMOGRAM], data=Recorded())
    recorded, options, _ = layer_data(tomogram)
    viewer.add_image(recorded, **options)
    viewer.dims.set_current_step(0, 300)
    assert 0 < recorded.read < 0.01 * recorded.size


@pytest.mark.slow
def test_sample_is_a_scene_with_its_truth_and_its_restoration():
    layers = sample_scene()
    names = [options["name"] for _, options, _ in layers]
    assert names == ["truth", "tomogram", "restored"] and len({data.shape for data, _, _ in layers}) == 1
    truth, tomogram, restored = (np.array(data).ravel() for data, _, _ in layers)
    assert np.corrcoef(restored, truth)[0, 1] > np.corrcoef(tomogram, truth)[0, 1] + 0.2
    assert layers[1][1]["metadata"][TOMOGRAM].wedge is not None


def test_versions_of_a_volume_are_found_by_name(tmp_path):
    for name in ("a.rec", "a_restored.mrc", "demo_tomogram.mrc", "demo_restored.mrc", "demo_truth.mrc", "lonely.mrc"):
        (tmp_path / name).touch()
    pair = (tmp_path / "a.rec", tmp_path / "a_restored.mrc")
    assert find_versions(pair[0]).paths() == pair
    three = tuple(tmp_path / f"demo_{kind}.mrc" for kind in ("tomogram", "restored", "truth"))
    for path in three:
        assert find_versions(path).paths() == three
    assert find_versions(tmp_path / "lonely.mrc").paths() == (tmp_path / "lonely.mrc",)


def test_view_opens_input_beside_restored(tmp_path):
    path = save(tmp_path)
    shutil.copy(path, tmp_path / "tomo_restored.mrc")
    viewer = model()
    show_files(viewer, [tmp_path / "tomo_restored.mrc"])
    assert [layer.name for layer in viewer.layers] == ["tomo", "tomo_restored"]
    assert grid_of(viewer).enabled and grid_of(viewer).shape == (1, -1) and viewer.dims.ndisplay == 2
    assert {str(layer.colormap.name) for layer in viewer.layers} == {"gray"}
    assert tuple(map(str, camera_of(viewer).orientation)) == ("towards", "up", "right")  # x, y, z: right-handed
    flat = viewer.layers[1].contrast_limits
    viewer.dims.ndisplay = 3
    assert viewer.layers[1].contrast_limits[1] < flat[0] + 0.3 * (flat[1] - flat[0])  # ice is black, protein bright
    assert {str(layer.colormap.name) for layer in viewer.layers} == {"gray_r"}
    assert {str(layer.rendering) for layer in viewer.layers} == {"minip"}
    viewer.dims.ndisplay = 2
    assert viewer.layers[1].contrast_limits == flat


def test_view_gives_related_files_the_same_greys_and_others_their_own(tmp_path):
    path = save(tmp_path)
    with mrcfile.open(path) as file:
        write_mrc(tmp_path / "tomo_restored.mrc", 100 + (file.data - 100) / 4, voxel_size=10)
    viewer = model()
    show_files(viewer, [path])
    before, after = viewer.layers
    assert tuple(before.contrast_limits) == tuple(after.contrast_limits)
    viewer = model()
    show_files(viewer, [path, tmp_path / "tomo_restored.mrc"])
    before, after = viewer.layers
    assert np.ptp(before.contrast_limits) > 2 * np.ptp(after.contrast_limits)


def test_the_scale_bar_is_shown_without_a_warning():
    viewer = model()
    show_scale_bar(viewer)
    canvas = getattr(viewer, "canvas", None)
    bar = (viewer if canvas is None else canvas.overlays).scale_bar
    assert bar.visible and (canvas is not None or bar.unit == "0.1 nm")


def test_view_in_three_dimensions(tmp_path):
    viewer = model()
    show_files(viewer, [save(tmp_path)], show="plane", contrast="bright", tilt_range=(-50, 40))
    (layer,) = viewer.layers
    assert viewer.dims.ndisplay == 3 and str(layer.depiction) == "plane" and str(layer.rendering) == "mip"
    assert layer.plane.position == (6, 10, 8) and not grid_of(viewer).enabled
    assert layer.metadata[TOMOGRAM].wedge.tilt_min == -50
    with pytest.raises(ConfigError, match="expected one of"):
        show_files(viewer, [tmp_path / "tomo.mrc"], show="inside")


def test_view_reports_missing_packages_in_one_line(tmp_path, monkeypatch):
    path = str(save(tmp_path))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform == "linux":
        done = CliRunner().invoke(app, ["view", path])
        assert done.exit_code == 2 and done.stderr.count("\n") == 1 and "no display" in done.stderr
    monkeypatch.setenv("DISPLAY", ":none")
    for missing in ("qtpy.QtCore", "napari"):  # any binding of Qt; napari
        monkeypatch.setitem(sys.modules, missing, None)
        done = CliRunner().invoke(app, ["view", path])
        assert done.exit_code == 2 and done.stderr.count("\n") == 1
        assert "pip install 'cryowae[napari]' pyqt6" in done.stderr
