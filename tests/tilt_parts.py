"""Texts of tilt files in the formats of several programs, all of one series."""

from __future__ import annotations

from pathlib import Path

TILTS = [-60.0, -40.0, -20.0, 0.5, 20.0, 40.0, 60.0]
COLUMN = "\n".join(f" {t:7.2f}" for t in TILTS) + "\n"
DOSE_SYMMETRIC = [0.5, 20.0, -20.0, -40.0, 40.0, 60.0, -60.0]
ALN = """# AreTomo Alignment / Priims bprmMn
# RawSize = 4092 5760 7
# NumPatches = 4
# DarkFrame =     0    0   -63.00
# AlphaOffset =     0.00
# SEC     ROT         GMAG       TX          TY      SMEAN     SFIT    SCALE     BASE     TILT
""" + "".join(f"{i:5d}   85.1  1.00000  1.1  -2.2   1.00   1.00   1.00   0.00  {t:9.2f}\n" for i, t in enumerate(TILTS))
LOCAL = "# Local Alignment\n   0   0  -1000.0   200.0    0.5    0.1    1.0\n"
MDOC = "PixelSpacing = 2\n\n[T = title]\n\n" + "".join(
    f"[ZValue = {i}]\nTiltAngle = {t}\nStagePosition = 1 2\n\n" for i, t in enumerate(DOSE_SYMMETRIC)
)


def xml(flags: str = "") -> str:
    angles = "<Angles>" + "\n".join(map(str, TILTS)) + "</Angles>"
    head = '\ufeff<?xml version="1.0" encoding="utf-8"?>\n<TiltSeries AreAnglesInverted="True">\n'
    return head + angles + flags + "\n</TiltSeries>"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
