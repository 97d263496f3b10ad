"""Samples and their standard deviation as layers, without a window."""

from __future__ import annotations

import gc
from functools import partial

import numpy as np
import pytest
from random_codes import random_weights

from cryowae._napari import derived_layers
from cryowae._napari.derived_layers import is_temporary, item_from, restore_layer
from cryowae._napari.jobs import Cancelled, Watch, in_window_words
from cryowae._napari.layers import TOMOGRAM, UNCERTAINTY_OF, layer_data, open_for_viewing, volumes_of, write_volume
from cryowae._napari.reading import read_volumes
from cryowae._napari.uncertainty_layers import (
    CONTRAST,
    SAMPLES,
    deviations_of,
    files_of,
    mask_layer,
    samples_of,
    uncertainty_layers,
    write_with_samples,
)
from cryowae._napari.viewing import grid_of, link_samples, show_files
from cryowae.config.options import ItemOptions, RestoreOptions
from cryowae.errors import CheckpointError, OutputError, TomogramError
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.io.neighbours import sample_beside, std_beside
from cryowae.progress import Progress
from cryowae.restore import restore_tomogram

pytest.importorskip("napari")
from napari.components import ViewerModel
from napari.layers import Image, Layer

SHAPE = (12, 20, 16)
GIVEN = ItemOptions(tilt_range=(-60, 60), contrast="dark")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return random_weights(tmp_path_factory.mktemp("weights") / "random.safetensors")


def written(folder, count=3, name="out.mrc", shape=SHAPE, seed=0, labels=True, voxel_size=10.0):
    """A result with samples and their deviation, by the names and with the labels of `restore`."""
    values = 100 + 10 * np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)
    write_mrc(folder / name, values.mean(0), voxel_size=voxel_size)
    for number, sample in enumerate(values, 1):
        label = f"sample {number} of seed {seed} by tiny" if labels else ""
        write_mrc(sample_beside(folder / name, number), sample, voxel_size=voxel_size, label=label, overwrite=True)
    label = f"standard deviation of {count} samples by tiny" if labels else ""
    std = values.std(0, ddof=1)
    write_mrc(std_beside(folder / name), std, voxel_size=voxel_size, label=label, overwrite=True)
    return folder / name, values


def opened(path, **options):
    return layer_data(open_for_viewing(path, **options))


def shown(layers):
    viewer = ViewerModel()
    return viewer, [viewer.add_layer(Layer.create(*layer)) for layer in layers]


def test_files_of_the_command_line_are_found_when_the_result_is_opened(tmp_path):
    path, values = written(tmp_path)
    viewer, (restored, samples, std) = shown(read_volumes(str(path)))
    assert [layer.name for layer in viewer.layers] == ["out", "out samples", "out std"]
    assert [layer.visible for layer in viewer.layers] == [True, False, False]
    assert np.array_equal(np.asarray(samples.data), values) and np.array_equal(
        std.data, read_mrc(std_beside(path)).data
    )
    assert samples.metadata["made"][2].endswith("sample 3 of seed 0 by tiny")
    assert std.metadata["made"][0].endswith("standard deviation of 3 samples by tiny")
    assert samples.metadata[UNCERTAINTY_OF] == std.metadata[UNCERTAINTY_OF] == str(path)
    assert volumes_of(viewer) == [restored] and deviations_of(viewer) == [std]
    assert samples_of(restored, viewer) == [samples, std]
    assert isinstance(std.data, np.memmap) and all(isinstance(one, np.memmap) for one in samples.data.volumes)


def test_the_slider_steps_through_the_samples_and_the_other_layers_stay(tmp_path):
    path, values = written(tmp_path)
    viewer, (restored, samples, std) = shown(read_volumes(str(path)))
    for layer in viewer.layers:
        layer.visible = True
    link_samples(viewer, restored, [samples])
    assert viewer.dims.ndim == 4 and tuple(viewer.dims.axis_labels) == ("sample", "z", "y", "x")
    assert tuple(viewer.dims.nsteps) == (3, *SHAPE)
    for number in (2, 0, 1):
        viewer.dims.set_current_step((0, 1), (number, 5))
        assert np.array_equal(samples._slice.image.raw, values[number, 5])
        assert np.array_equal(restored._slice.image.raw, restored.data[5])
        assert np.array_equal(std._slice.image.raw, std.data[5])


def test_look_of_the_standard_deviation_and_of_the_samples(tmp_path):
    path, _ = written(tmp_path)
    _, (restored, samples, std) = shown(read_volumes(str(path)))
    assert std.colormap.name == "inferno" and str(std.blending) == "additive" and str(std.rendering) == "mip"
    low, high = std.contrast_limits
    assert np.mean(std.data < low) == pytest.approx(0.75, abs=0.01) and 0.99 < np.mean(std.data < high) < 1
    assert samples.contrast_limits == restored.contrast_limits and samples.colormap.name == "gray"
    assert [str(unit) for unit in std.units] == ["angstrom"] * 3 and tuple(std.scale) == (10,) * 3
    assert [str(unit) for unit in samples.units] == ["pixel", *["angstrom"] * 3]
    assert tuple(samples.scale) == (1, 10, 10, 10)


def test_the_grey_limits_of_samples_follow_the_restored_layer(tmp_path):
    path, _ = written(tmp_path)
    viewer, (restored, samples, std) = shown(read_volumes(str(path)))
    assert link_samples(viewer, restored, [samples, std]) == [samples]
    before = tuple(std.contrast_limits)
    restored.contrast_limits = (-5, 500)
    assert tuple(samples.contrast_limits) == (-5, 500) and tuple(std.contrast_limits) == before
    assert link_samples(viewer, restored, [std]) == []


@pytest.mark.parametrize("options", [{}, {"rotate": 30, "shear": (0.1, 0, 0.2), "affine": np.diag([1, 2, 1, 1])}])
def test_layers_lie_where_the_restored_layer_lies(tmp_path, options):
    path, _ = written(tmp_path)
    data, look, _ = opened(path)
    source = Image(data, **{**look, "scale": (1,) * 3, "units": ("nm",) * 3}, translate=(5, -6, 7), **options)
    look = {**look, **derived_layers.look_of(source)}
    samples, std = (Layer.create(*layer) for layer in uncertainty_layers((data, look, "image")))
    (mask, place, _) = mask_layer(std)
    marks = Image(mask, **place)
    for point in ((0, 0, 0), (2, 3, 4)):
        there = source.data_to_world(point)
        assert np.allclose(std.data_to_world(point), there) and np.allclose(marks.data_to_world(point), there)
        assert np.allclose(samples.data_to_world((2, *point)), (2, *there))
    assert std.units == source.units and samples.units[1:] == source.units


@pytest.mark.parametrize("axes", ["xzy", "zxy"])
def test_samples_are_opened_with_the_axes_of_their_result(tmp_path, axes):
    path, values = written(tmp_path)
    layers = uncertainty_layers(opened(path, axes=axes))
    expected = opened(path, axes=axes)[0].shape
    assert layers[0][0].shape == (3, *expected) and layers[1][0].shape == expected
    write_volume(str(tmp_path / "saved.mrc"), layers[1][0], layers[1][1])
    assert np.array_equal(read_mrc(tmp_path / "saved.mrc").data, read_mrc(std_beside(path)).data)


def test_without_a_voxel_size_the_corrected_one_holds_for_all(tmp_path):
    path, _ = written(tmp_path)
    layers = uncertainty_layers(opened(path, voxel_size=7.5))
    assert layers[0][1]["scale"] == (1, 7.5, 7.5, 7.5) and layers[1][1]["scale"] == (7.5,) * 3
    assert layers[1][1]["metadata"][TOMOGRAM].voxel_size == 7.5


def names_of(path):
    return [look["name"] for _, look, _ in uncertainty_layers(opened(path))]


def test_files_that_do_not_fit_are_left_out(tmp_path):
    path, _ = written(tmp_path)
    std_beside(path).write_bytes(b"not a volume")
    assert names_of(path) == ["out samples"]
    sample_beside(path, 2).unlink()
    assert len(uncertainty_layers(opened(path))[0][0]) == 1
    write_mrc(std_beside(path), np.ones((4, 4, 4)), voxel_size=10, overwrite=True)
    write_mrc(sample_beside(path, 1), np.ones((4, 4, 4)), voxel_size=10, overwrite=True)
    assert names_of(path) == []
    lonely = write_mrc(tmp_path / "lonely.mrc", np.random.default_rng(0).normal(size=SHAPE), voxel_size=10)
    assert lonely is None and names_of(tmp_path / "lonely.mrc") == []


def test_samples_of_an_earlier_run_are_not_mixed_in(tmp_path):
    path, _ = written(tmp_path, count=4)
    write_mrc(path, np.ones(SHAPE), voxel_size=10, overwrite=True)
    written(tmp_path, count=2, name="b.mrc", seed=7)
    for number in (1, 2):
        sample_beside(tmp_path / "b.mrc", number).replace(sample_beside(path, number))
    assert len(uncertainty_layers(opened(path))[0][0]) == 2  # 3 and 4 are of another seed
    std_beside(path).unlink()
    assert len(uncertainty_layers(opened(path))[0][0]) == 2
    path, _ = written(tmp_path, count=4, name="c.mrc", labels=False)
    assert len(uncertainty_layers(opened(path))[0][0]) == 4  # their labels were lost


def test_marks_are_where_the_deviation_is_large_against_the_contrast(tmp_path):
    path, _ = written(tmp_path)
    viewer, (restored, samples, std) = shown(read_volumes(str(path)))
    contrast = std.metadata[CONTRAST]
    middle = np.median(restored.data)
    assert contrast == pytest.approx(
        max(middle - np.percentile(restored.data, [1, 99])[0], np.percentile(restored.data, [1, 99])[1] - middle),
        rel=1e-3,
    )
    counts = []
    for fraction in (0.2, 0.5):
        marks = Layer.create(*mask_layer(std, fraction))
        assert marks.name == "out uncertain" and tuple(marks.contrast_limits) == (0, 1)
        assert np.allclose(marks.colormap.map(np.array([0, 1])), [(0, 1, 1, 0), (0, 1, 1, 1)])
        assert np.array_equal(np.asarray(marks.data), std.data > fraction * contrast)
        counts.append(np.asarray(marks.data).sum())
    assert counts[0] > counts[1] > 0
    marks = viewer.add_layer(marks)
    assert volumes_of(viewer) == [restored] and samples_of(restored, viewer) == [samples, std, marks]
    assert not files_of(marks)  # which are saved with the result
    data, look, _ = marks.as_layer_data_tuple()
    write_volume(str(tmp_path / "mask.mrc"), data, look)
    assert np.array_equal(read_mrc(tmp_path / "mask.mrc").data, np.asarray(data))


def test_a_constant_result_has_layers_and_no_marks(tmp_path):
    path, _ = written(tmp_path)
    write_mrc(path, np.ones(SHAPE), voxel_size=10, overwrite=True)
    _, (_, _, std) = shown(read_volumes(str(path)))
    with pytest.raises(TomogramError, match="no contrast"):
        mask_layer(std)


def test_view_shows_samples_beside_their_mean(tmp_path):
    path, _ = written(tmp_path, name="tomo_restored.mrc")
    write_mrc(tmp_path / "tomo.mrc", read_mrc(path).data, voxel_size=10)
    for asked in (path, tmp_path / "tomo.mrc"):
        viewer = ViewerModel()
        show_files(viewer, [asked])
        visible = [layer.name for layer in viewer.layers if layer.visible]
        assert visible == ["tomo", "tomo_restored", "tomo_restored samples"] and "tomo_restored std" in viewer.layers
        assert grid_of(viewer).enabled
        viewer.dims.ndisplay = 3
        samples, restored = viewer.layers["tomo_restored samples"], viewer.layers["tomo_restored"]
        assert samples.colormap.name == restored.colormap.name == "gray_r"
        assert samples.contrast_limits == restored.contrast_limits
    viewer = ViewerModel()
    show_files(viewer, [path], show="plane")
    assert all(layer.plane.position == tuple(n // 2 for n in SHAPE) for layer in viewer.layers)
    viewer = ViewerModel()
    show_files(viewer, [path, tmp_path / "tomo.mrc"])
    assert len(viewer.layers) == 2  # what was asked for


def restored_layers(layer, weights, samples, progress=None, output=None, seed=0):
    make_item = partial(item_from, layer, None, GIVEN, output)
    options = RestoreOptions(device="cpu", samples=samples, seed=seed)
    return restore_layer(layer, make_item, options, weights, progress or Progress())


@pytest.fixture
def tomogram():
    volume = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    return Image(volume, scale=(10,) * 3, units=("angstrom",) * 3, name="mine")


def test_a_restoration_with_samples_equals_that_of_the_command(tmp_path, tomogram, weights):
    layers, result = restored_layers(tomogram, weights, 3, seed=5)
    assert [look["name"] for _, look, _ in layers] == ["mine restored", "mine restored samples", "mine restored std"]
    assert [look.get("visible", True) for _, look, _ in layers] == [True, True, False] and is_temporary(result.path)
    write_mrc(tmp_path / "mine.mrc", tomogram.data, voxel_size=10)
    options = RestoreOptions(device="cpu", samples=3, seed=5, write_samples=True, report=False)
    how = {"model": weights, "contrast": "dark", "options": options}
    source = open_for_viewing(tmp_path / "mine.mrc", tilt_range=(-60, 60))
    done = restore_tomogram(source, tmp_path / "out.mrc", **how)
    assert np.array_equal(layers[0][0], read_mrc(done.path).data)
    assert np.array_equal(layers[2][0], read_mrc(done.samples[0]).data)
    for number, path in enumerate(done.samples[1:]):
        assert np.array_equal(layers[1][0][number], read_mrc(path).data)


@pytest.mark.parametrize("samples", [0, 1])
def test_without_two_samples_there_is_one_layer(tomogram, weights, samples):
    layers, result = restored_layers(tomogram, weights, samples)
    assert len(layers) == 1 and result.samples == ()


def test_weights_without_random_codes_are_refused_in_one_line(tomogram):
    with pytest.raises(CheckpointError) as error:
        restored_layers(tomogram, "cryowae-3", 2)
    said = in_window_words(error.value)
    assert "no random codes" in said and "choose own weights" in said and "\n" not in said and "--" not in said


def test_temporary_files_go_with_their_layers(tomogram, weights):
    layers, result = restored_layers(tomogram, weights, 2)
    viewer, made = shown(layers)
    viewer.layers.selection.active = viewer.add_layer(tomogram)  # napari keeps the layer that was active
    link_samples(viewer, made[0], made)
    for layer in made:
        derived_layers.delete_with(layer, *(one.path for one in files_of(layer).values()))
    std, samples = std_beside(result.path), [sample_beside(result.path, n) for n in (1, 2)]
    del layers, layer
    for at, gone in ((1, samples), (0, [result.path])):
        viewer.layers.remove(made.pop(at))
        gc.collect()
        assert not any(path.exists() for path in gone) and std.exists()
    viewer.layers.remove(made.pop())
    gc.collect()
    assert not std.parent.exists()


def test_a_cancelled_restoration_goes_on_with_the_next_sample(tomogram, weights):
    class Cancelling(Watch):
        def advance(self, n=1):
            super().advance(n)
            if "sample 2 of 3" in self.said:
                self.cancel()

    watch = Cancelling()
    with pytest.raises(Cancelled):
        restored_layers(tomogram, weights, 3, watch)
    assert any("samples are kept" in line for line in watch.said)
    again = Watch()
    layers, result = restored_layers(tomogram, weights, 3, again)
    assert "sample 1 of 3" not in again.said and len(layers[1][0]) == 3
    assert not [path for path in result.path.parent.iterdir() if path.name.startswith(".")]
    with pytest.raises(Cancelled):
        restored_layers(tomogram, weights, 3, Cancelling(), seed=1)
    folder = derived_layers._unfinished[tomogram]
    assert list(folder.iterdir())


def test_the_samples_of_a_cancelled_restoration_go_with_the_input(weights):
    layer = Image(np.random.default_rng(0).normal(size=SHAPE).astype(np.float32), scale=(10,) * 3, name="mine")

    class Cancelling(Watch):
        def say(self, message):
            super().say(message)
            if message == "sample 2 of 2":
                self.cancel()

    with pytest.raises(Cancelled):
        restored_layers(layer, weights, 2, Cancelling())
    folder = derived_layers._unfinished[layer]
    assert list(folder.iterdir())
    del layer
    gc.collect()
    assert not list(folder.iterdir())


def test_a_result_is_saved_with_its_samples(tmp_path):
    path, values = written(tmp_path)
    viewer, (restored, *others) = shown(read_volumes(str(path)))
    place = tmp_path / "saved" / "mine.mrc"
    place.parent.mkdir()
    files = write_with_samples(place, restored, others)
    names = ["mine.mrc", "mine_sample1.mrc", "mine_sample2.mrc", "mine_sample3.mrc", "mine_std.mrc"]
    assert [file.removeprefix(f"{place.parent}/") for file in files] == names
    assert np.array_equal(read_mrc(sample_beside(place, 2)).data, values[1])
    assert read_mrc(std_beside(place)).voxel_size == 10
    assert any("standard deviation of 3 samples" in text for text in read_mrc(std_beside(place)).header.labels)
    assert len(read_volumes(str(place))) == 3
    place.unlink()
    with pytest.raises(OutputError, match="exists already"):  # the user was asked about the first name only
        write_with_samples(place, restored, others)
    assert not place.exists()
    assert SAMPLES in others[0].metadata
    with pytest.raises(TomogramError, match="expected a volume"):
        write_volume(str(tmp_path / "a.mrc"), others[0].data, {"name": "out samples"})
