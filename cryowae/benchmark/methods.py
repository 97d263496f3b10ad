"""The methods of a benchmark, applied to a tomogram and to its noise alone.

The classical filters have a width or weight that a user must choose. Here it is tuned on the ground truth,
which is an advantage for them: users have no ground truth. The same filter is then applied to the noise alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cryowae.benchmark.cases import Case, read_candidate
from cryowae.config.suite import FLOOR, External, MethodConfig
from cryowae.errors import ConfigError
from cryowae.fourier.grids import hermitian_weights, radius
from cryowae.fourier.shells import cross_sums, shell_edges
from cryowae.metrics import empty_wedge, ncc
from cryowae.models.weights import RestorationModel
from cryowae.restore import RestoreOptions, restore_array

Array = NDArray[np.float32]
Restorer = Callable[[Array], Array]
Results = tuple[Array, Array | None]

_PATCHES = {"patch_size": 3, "patch_distance": 3, "fast_mode": True, "preserve_range": True}  # of non-local means
_TRIAL = 64  # voxels along each axis of the central block on which parameters are compared


def apply_method(method: MethodConfig, case: Case, network: RestorationModel | None = None) -> Results:
    """Apply a method to a case.

    Parameters
    ----------
    method
        A method of the suite.
    case
        The case with the tomogram to restore.
    network
        The loaded weights, for methods that are networks.

    Returns
    -------
    restored, twin
        `(z, y, x)` results for the tomogram and for its noise alone; None if the case has no noise alone.

    Raises
    ------
    ConfigError
        If an external tool's volume is missing, or scikit-image where it is needed.
    TomogramError
        If an external volume has another shape, or values that are not finite.
    """
    if method.name == FLOOR:
        return np.asarray(empty_wedge(case.truth, case.wedge), np.float32), None
    if method.external is not None:
        return _external(method.external, case)
    restore = _classical(method.name, case) if network is None else _network(network, case, method.fast)
    return restore(case.tomogram), None if case.twin is None else restore(case.twin)


def check_method(method: MethodConfig, cases: Sequence[str]) -> None:
    """Raise `ConfigError` if a method lacks scikit-image, or an external tool's volume of one of the `cases`."""
    if method.external is not None:
        for case in cases:
            _external_file(method.external, case)
    elif method.name in ("tv", "nlm") and method.weights is None:
        _scikit_image()


def _classical(name: str, case: Case) -> Restorer:
    """A filter. Its parameter is the one whose result for the central block correlates best with the truth."""
    if name == "input":
        return lambda volume: volume
    if name == "wiener":
        return _wiener(case)
    smooth, strengths = _TUNED[name]
    scale = np.float32(1 if name == "gaussian" else case.tomogram.std())

    def smoothed(volume: Array, strength: float) -> Array:
        return np.asarray(smooth(volume / scale, strength) * scale, np.float32)

    starts = [max(0, (n - _TRIAL) // 2) for n in case.truth.shape]
    middle = tuple(slice(start, start + _TRIAL) for start in starts)
    block, target = np.ascontiguousarray(case.tomogram[middle]), case.truth[middle]
    best = max(strengths, key=lambda strength: ncc(target, smoothed(block, strength)))
    return lambda volume: smoothed(volume, best)


def _wiener(case: Case) -> Restorer:
    """`S / (S + N)` per shell of the measured components, from the ground truth."""
    shape = case.truth.shape
    measured = case.wedge.mask(shape) > 0.5
    weight = measured * hermitian_weights(shape[2])
    distance, edges = radius(shape), shell_edges(0.01, 0.88)  # to the corners of the box
    whole, target = (torch.fft.rfftn(torch.from_numpy(v)) for v in (case.tomogram, case.truth))
    sums = cross_sums(target, whole, weight, distance, edges)
    gain = torch.from_numpy(sums.cross / sums.power_b.clip(min=1e-12)).clamp(min=0).float()
    response = gain[((distance / 0.01).long()).clamp(max=len(gain) - 1)] * measured
    return lambda volume: np.asarray(torch.fft.irfftn(torch.fft.rfftn(torch.from_numpy(volume)) * response, s=shape))


_TUNED: dict[str, tuple[Callable[[Array, float], Array], tuple[float, ...]]] = {
    # standard deviation in voxels
    "gaussian": (gaussian_filter, (0.7, 1.0, 1.4, 2.0, 2.8, 4.0)),
    # weight for volumes of unit standard deviation (Chambolle 2004)
    "tv": (lambda v, h: _scikit_image().denoise_tv_chambolle(v, h, eps=0, max_num_iter=60), (0.25, 0.5, 1.0, 2.0)),
    # filter strength in standard deviations of the volume (Buades et al. 2005)
    "nlm": (lambda v, h: _scikit_image().denoise_nl_means(v, h=h, **_PATCHES), (0.5, 0.8, 1.2)),
}
"""Filters with a free parameter: function of a volume and the parameter, and the values to choose from."""


def _network(network: RestorationModel, case: Case, fast: bool) -> Restorer:
    """Restoration with the default options, except for `fast`."""
    how: dict[str, Any] = {"model": network, "options": RestoreOptions(fast=fast), "contrast": "bright"}
    how |= {"wedge": case.wedge, "voxel_size": case.specimen.voxel_size}
    return lambda volume: np.asarray(restore_array(volume, **how).data, np.float32)


def _external(tool: External, case: Case) -> Results:
    """Volumes from a folder; protein is dark in the files, as in those that `write_inputs` writes."""
    path, like = _external_file(tool, case.name), (case.truth.shape, case.specimen.voxel_size)
    twin = path.with_name(f"{case.name}_noise.mrc")
    noise = None if case.twin is None or not twin.is_file() else -read_candidate(twin, *like)
    return -read_candidate(path, *like), noise


def _external_file(tool: External, case: str) -> Path:
    path = tool.path / f"{case}.mrc"
    if not path.is_file():
        raise ConfigError(
            f"no {path}, expected the result of {tool.name} for {case}.mrc: write the inputs with --inputs-only, "
            "restore them, and keep their names"
        )
    return path


def _scikit_image() -> Any:
    try:
        from skimage import restoration
    except ImportError as error:
        raise ConfigError(
            'total variation and non-local means need scikit-image: pip install "cryowae[benchmark]", or leave tv and '
            "nlm out of the suite"
        ) from error
    return restoration
