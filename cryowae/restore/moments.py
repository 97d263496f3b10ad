"""Running mean and standard deviation of volumes, in memory or in a folder from which an interrupted run continues."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.io.outputs import make_folder, reserve_file, write_text
from cryowae.tomogram.volumes import Volume, slabs

_STATE = "state.json"


class Moments:
    """Mean and sum of squared deviations of the volumes so far, updated one volume at a time (Welford 1962).

    In a folder there are two copies. A new volume goes into the older one, and `state.json` names the newer one when it
    is complete: an interrupt at any time leaves one that is right.

    Parameters
    ----------
    shape
        `(z, y, x)` of the volumes.
    folder
        Folder of the files; in memory if not given.
    key
        Plain values that identify the run. Files of another run are overwritten.

    Attributes
    ----------
    count
        Number of volumes so far.

    Raises
    ------
    OutputError
        If the folder or its files cannot be written.
    """

    def __init__(
        self, shape: tuple[int, int, int], folder: Path | None = None, key: Mapping[str, Any] | None = None
    ) -> None:
        self.shape, self.folder, self._key = shape, folder, dict(key or {})
        self.count = 0
        if folder is None:
            self._copies = [np.zeros((2, *shape), np.float32)]
            return
        files = [folder / f"moments{i}" for i in (0, 1)]
        self.count = self._known(files)
        if not self.count:
            rmtree(folder, ignore_errors=True)
            make_folder(folder)
            for file in files:
                reserve_file(file, 2 * 4 * shape[0] * shape[1] * shape[2])
        self._copies = [np.memmap(file, np.float32, "r+", shape=(2, *shape)) for file in files]

    def add(self, volume: Volume) -> None:
        """Count one more volume, slab by slab."""
        old, new = (self._copies[i % len(self._copies)] for i in (self.count, self.count + 1))
        for part in slabs(self.shape):
            block, mean, squares = np.asarray(volume[part], np.float32), old[0][part], old[1][part]
            change = block - mean
            middle = mean + change / (self.count + 1)
            new[0][part], new[1][part] = middle, squares + change * (block - middle)
        self.count += 1
        if self.folder is not None:
            new.flush()  # type: ignore[attr-defined]
            write_text(self.folder / _STATE, json.dumps({"count": self.count, "key": self._key}))

    def mean(self, part: slice) -> NDArray[np.float32]:
        """The mean of the volumes in some sections."""
        found: NDArray[np.float32] = self._newest[0][part]
        return found

    def deviation(self, part: slice) -> NDArray[np.float32]:
        """Their standard deviation in some sections, with `count - 1` degrees of freedom."""
        found: NDArray[np.float32] = np.sqrt(self._newest[1][part] / np.float32(max(self.count - 1, 1)))
        return found

    def remove(self) -> None:
        """Delete the folder, when its content is no longer needed."""
        self._copies = []
        if self.folder is not None:
            rmtree(self.folder, ignore_errors=True)

    @property
    def _newest(self) -> NDArray[np.float32]:
        return self._copies[self.count % len(self._copies)]

    def _known(self, files: list[Path]) -> int:
        """Number of volumes in the files of this run; 0 if there are none."""
        assert self.folder is not None
        size = 2 * 4 * self.shape[0] * self.shape[1] * self.shape[2]
        with suppress(OSError, ValueError, KeyError, TypeError):
            state = json.loads((self.folder / _STATE).read_text())
            if state["key"] == json.loads(json.dumps(self._key)) and all(f.stat().st_size == size for f in files):
                return int(state["count"])
        return 0
