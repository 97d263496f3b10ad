"""File > Open sample > cryowae: a scene of which everything is known."""

from __future__ import annotations

from cryowae._napari.layers import LayerData, layer_data, open_for_viewing
from cryowae._napari.scratch import scratch_folder


def sample_scene() -> list[LayerData]:
    """The scene of `cryowae demo`: its ground truth, the noisy tomogram with its wedge, and the tomogram restored."""
    from cryowae.demo import run_demo

    done = run_demo(scratch_folder())
    paths = {"truth": done.truth, "tomogram": done.tomogram, "restored": done.restored}
    return [layer_data(open_for_viewing(path), name) for name, path in paths.items()]
