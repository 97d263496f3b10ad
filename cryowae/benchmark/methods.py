"""The methods of a benchmark: what each makes of a tomogram, and of its noise alone.

The classical filters have a width or weight that a user would have to guess. Here each gets the one that suits the
truth best, which no user could know, so that nobody can say that they were held down; the noise alone then goes through
the same filter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cryowae.benchmark.cases import Case
from cryowae.config.suite import FLOOR, External, MethodConfig
from cryowae.errors import ConfigError, TomogramError
from cryowae.fourier.grids import hermitian_weights, radius
from cryowae.fourier.shells import cross_sums, shell_edges
from cryowae.io.mrc import read_mrc
from cryowae.metrics import empty_wedge, ncc
from cryowae.models.weights import RestorationModel
from cryowae.restore import RestoreOptions, restore_array

Array = NDArray[np.float32]
Restorer = Callable[[Array], Array]

GAUSSIAN_WIDTHS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
"""Voxels (standard deviations) that are tried."""
TV_WEIGHTS = (0.25, 0.5, 1.0, 2.0)
"""Weights of total variation that are tried, for volumes of unit standard deviation (Chambolle 2004)."""
NLM_STRENGTHS = (0.5, 0.8, 1.2)
"""Filter strengths of non-local means that are tried, in standard deviations of the volume (Buades et al. 2005)."""

_TRIAL = 64  # voxels along each axis of the central block on which weights are tried


def apply_method(
    method: MethodConfig, case: Case, network: RestorationModel | None = None
) -> tuple[Array, Array | None]:
    """What a method makes of a case.

    Parameters
    ----------
    method
        From the suite.
    case
        Whose tomogram is to be restored.
    network
        The loaded weights, for methods that are networks.

    Returns
    -------
    restored, twin
        `(z, y, x)` of the tomogram, and of its noise alone where there is one.

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
    restore = _CLASSICAL[method.name](case) if network is None else _network(network, case, method.fast)
    return restore(case.tomogram), None if case.twin is None else restore(case.twin)


def check_method(method: MethodConfig, cases: Sequence[str]) -> None:
    """Raise `ConfigError` if a method lacks scikit-image, or an external tool's volume of one of the `cases`."""
    if method.external is not None:
        for case in cases:
            _external_file(method.external, case)
    elif method.name in ("tv", "nlm") and method.weights is None:
        _scikit_image()


def _unchanged(case: Case) -> Restorer:
    return lambda volume: volume


def _gaussian(case: Case) -> Restorer:
    def at(width: float) -> Restorer:
        return lambda volume: np.asarray(gaussian_filter(volume, width), np.float32)

    return _best((at(width) for width in GAUSSIAN_WIDTHS), case)


def _wiener(case: Case) -> Restorer:
    """`S / (S + N)` per shell of the measured components, from the noise-free tomogram and the noise themselves."""
    shape = case.truth.shape
    measured = case.wedge.mask(shape) > 0.5
    weight = measured * hermitian_weights(shape[2])
    distance, edges = radius(shape), shell_edges(0.01, 0.88)  # to the corners of the box
    whole, target = (torch.fft.rfftn(torch.from_numpy(v)) for v in (case.tomogram, case.truth))
    sums = cross_sums(target, whole, weight, distance, edges)
    gain = torch.from_numpy(sums.cross / sums.power_b.clip(min=1e-12)).clamp(min=0).float()
    response = gain[((distance / 0.01).long()).clamp(max=len(gain) - 1)] * measured
    return lambda volume: np.asarray(torch.fft.irfftn(torch.fft.rfftn(torch.from_numpy(volume)) * response, s=shape))


def _total_variation(case: Case) -> Restorer:
    restoration = _scikit_image()
    scale = float(case.tomogram.std())

    def at(weight: float) -> Restorer:
        return lambda volume: np.asarray(
            restoration.denoise_tv_chambolle(volume / scale, weight=weight, eps=0, max_num_iter=60) * scale,
            np.float32,
        )

    return _best((at(weight) for weight in TV_WEIGHTS), case)


def _non_local_means(case: Case) -> Restorer:
    restoration = _scikit_image()
    scale = float(case.tomogram.std())

    def at(strength: float) -> Restorer:
        return lambda volume: np.asarray(
            restoration.denoise_nl_means(
                volume / scale, patch_size=3, patch_distance=3, h=strength, fast_mode=True, preserve_range=True
            )
            * scale,
            np.float32,
        )

    return _best((at(strength) for strength in NLM_STRENGTHS), case)


_CLASSICAL: dict[str, Callable[[Case], Restorer]] = {
    "input": _unchanged,
    "gaussian": _gaussian,
    "wiener": _wiener,
    "tv": _total_variation,
    "nlm": _non_local_means,
}


def _best(choices: Iterable[Restorer], case: Case) -> Restorer:
    """The choice whose result on the middle of the tomogram correlates best with the truth."""
    middle = tuple(
        slice(max(0, (n - _TRIAL) // 2), (n - _TRIAL) // 2 + _TRIAL if n > _TRIAL else n) for n in case.truth.shape
    )
    block, target = np.ascontiguousarray(case.tomogram[middle]), case.truth[middle]
    return max(choices, key=lambda restore: ncc(target, restore(block)))


def _network(network: RestorationModel, case: Case, fast: bool) -> Restorer:
    """As a user's tomogram is restored."""

    def restore(volume: Array) -> Array:
        size, options = case.specimen.voxel_size, RestoreOptions(fast=fast)
        done = restore_array(
            volume, wedge=case.wedge, voxel_size=size, model=network, options=options, contrast="bright"
        )
        return np.asarray(done.data, np.float32)

    return restore


def _external(tool: External, case: Case) -> tuple[Array, Array | None]:
    """Volumes from a folder; files hold protein dark, as `write_inputs` wrote what the tool was given."""
    path = _external_file(tool, case.name)
    twin = path.with_name(f"{case.name}_noise.mrc")
    return _read_dark(path, case), _read_dark(twin, case) if case.twin is not None and twin.is_file() else None


def _external_file(tool: External, case: str) -> Path:
    path = tool.path / f"{case}.mrc"
    if not path.is_file():
        raise ConfigError(
            f"no {path}, expected what {tool.name} made of {case}.mrc: write the inputs with --inputs-only, restore "
            "them, and keep their names"
        )
    return path


def _read_dark(path: Path, case: Case) -> Array:
    volume = np.array(read_mrc(path, voxel_size=case.specimen.voxel_size).data, dtype=np.float32)
    if volume.shape != case.truth.shape:
        raise TomogramError(f"{path} has {volume.shape} voxels, expected {case.truth.shape} as its input has")
    if not np.isfinite(volume).all():
        raise TomogramError(f"{path} holds NaN or infinite values, expected finite numbers: replace them first")
    return -volume


def _scikit_image() -> Any:
    try:
        from skimage import restoration
    except ImportError as error:
        raise ConfigError(
            'total variation and non-local means need scikit-image: pip install "cryowae[benchmark]", or leave tv and '
            "nlm out of the suite"
        ) from error
    return restoration
