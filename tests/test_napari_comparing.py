"""Which layers of a viewer are versions of one volume, without a window."""

from __future__ import annotations

import numpy as np
import pytest

from cryowae._napari.comparing import ComparedLayers, guess_compared
from cryowae._napari.derived_layers import CUT_FROM, RESTORED_FROM
from cryowae._napari.reading import read_volumes
from cryowae.io.mrc import write_mrc

pytest.importorskip("napari")


def layers(viewer, *names, **metadata):
    return [viewer.add_image(np.zeros((4, 4, 4)), name=n, metadata=metadata.get(n, {})) for n in names]


@pytest.fixture
def viewer():
    from napari.components import ViewerModel

    return ViewerModel()


def test_a_restored_layer_is_compared_with_its_input(viewer):
    layers(viewer, "truth", "cut", "other", "restored", cut={CUT_FROM: "truth"}, restored={RESTORED_FROM: "cut"})
    found = guess_compared(viewer.layers)
    assert [layer.name for layer in found.layers()] == ["cut", "restored", "truth"]
    viewer.add_image(np.zeros((2, 4, 4)), name="preview", metadata={RESTORED_FROM: "other"})
    assert guess_compared(viewer.layers) == found
    viewer.layers.remove("cut")
    assert guess_compared(viewer.layers).before is viewer.layers[0]


def test_a_cut_layer_is_compared_with_the_whole(viewer):
    layers(viewer, "whole", "cut", cut={CUT_FROM: "whole"})
    found = guess_compared(viewer.layers)
    assert (found.before.name, found.after.name, found.truth) == ("whole", "cut", None)


def test_files_are_matched_by_name(viewer, tmp_path):
    for name in ("a_truth", "a", "a_restored", "b"):
        write_mrc(tmp_path / f"{name}.mrc", np.random.default_rng(0).normal(size=(4, 8, 8)), voxel_size=10)
    (tmp_path / "a.tlt").write_text("-50\n0\n60\n")
    for name in ("a_truth", "b", "a", "a_restored"):
        for data, options, _ in read_volumes(str(tmp_path / f"{name}.mrc")):
            viewer.add_image(data, **options)
    found = guess_compared(viewer.layers)
    assert [layer.name for layer in found.layers()] == ["a", "a_restored", "a_truth"]
    assert found.tilt_range() == (-50, 60)


def test_the_wedge_is_that_of_the_later_layer(viewer, tmp_path):
    for name, low in (("whole", -60), ("cut", -40)):
        path = tmp_path / f"{name}.mrc"
        write_mrc(path, np.random.default_rng(0).normal(size=(4, 8, 8)), voxel_size=10)
        path.with_suffix(".tlt").write_text(f"{low}\n0\n{-low}\n")
        for data, options, _ in read_volumes(str(path)):
            viewer.add_image(data, **options)
    whole, cut = viewer.layers
    (plain,) = layers(viewer, "plain")
    assert ComparedLayers(whole, cut).tilt_range() == (-40, 40)
    assert ComparedLayers(whole, plain).tilt_range() == (-60, 60)


def test_layers_without_relation_are_compared_in_order(viewer):
    assert guess_compared([]) == ComparedLayers()
    one, two = layers(viewer, "one", "two")
    assert guess_compared([one]).layers() == [one]
    assert guess_compared([one, two]) == ComparedLayers(one, two)
    assert ComparedLayers(one, two).tilt_range() is None
