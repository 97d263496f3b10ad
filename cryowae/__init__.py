"""Restoration of cryo-electron tomograms: denoised, and with the missing wedge filled.

The names below are the public interface. Each is imported when it is first used, so `import cryowae` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryowae.fourier.wedge import Wedge
    from cryowae.models.weights import load_model
    from cryowae.restore import restore_tomogram
    from cryowae.tomogram import Tomogram, open_tomogram

__version__ = "0.3.0"
__all__ = ["Tomogram", "Wedge", "load_model", "open_tomogram", "restore_tomogram"]

_HOMES = {
    "Tomogram": "cryowae.tomogram",
    "Wedge": "cryowae.fourier.wedge",
    "load_model": "cryowae.models.weights",
    "open_tomogram": "cryowae.tomogram",
    "restore_tomogram": "cryowae.restore",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
