"""Compare the outputs of two versions of cryowae: volumes by the standard deviation, tables by their figures.

Usage: python tools/compare_outputs.py OLD NEW [LIMIT]

OLD and NEW are folders. Every .mrc and .csv file of OLD is compared with the file of the same name in NEW. Exits with 1
if a file is missing or differs by more than LIMIT (1e-4 if not given) of the standard deviation of OLD.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from cryowae.io.mrc import read_mrc


def volume_difference(old: Path, new: Path) -> float:
    """Largest difference of two volumes over the standard deviation of the first; infinite for other shapes."""
    before, after = (np.asarray(read_mrc(path, voxel_size=1.0).data, np.float64) for path in (old, new))
    if before.shape != after.shape:
        return float("inf")
    return float(np.abs(after - before).max() / (before.std() or 1.0))


def table_difference(old: Path, new: Path) -> float:
    """Largest difference of two figures in one row and column, absolute, or relative if the first exceeds 1."""
    tables = []
    for path in (old, new):
        with path.open(newline="", encoding="utf-8") as file:
            tables.append(list(csv.DictReader(file)))
    if len(tables[0]) != len(tables[1]):
        return float("inf")
    worst = 0.0
    for first, second in zip(*tables, strict=True):
        for name, text in first.items():
            other = second.get(name, "")
            if text == other or "seconds" in name:
                continue
            try:
                before, after = float(text), float(other)
            except ValueError:
                return float("inf")
            worst = max(worst, abs(after - before) / max(1.0, abs(before)))
    return worst


def main(old: Path, new: Path, limit: float) -> int:
    """Print one line per file; return the exit code."""
    failed = 0
    for path in sorted(p for p in old.rglob("*") if p.suffix in (".mrc", ".csv")):
        other = new / path.relative_to(old)
        measure = volume_difference if path.suffix == ".mrc" else table_difference
        difference = measure(path, other) if other.is_file() else float("inf")
        failed += not difference <= limit
        print(f"{difference:.2e}  {path.relative_to(old)}")
    print(f"{failed} files differ by more than {limit:g}")
    return int(failed > 0)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) == 4 else 1e-4))
