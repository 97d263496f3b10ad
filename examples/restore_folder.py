"""Restore every tomogram of a folder and print the share of the power in the missing wedge of each result.

Usage: python restore_folder.py TOMOGRAMS RESTORED
"""

from __future__ import annotations

import sys
from pathlib import Path

from cryowae import load_model, open_tomogram, restore_tomogram
from cryowae.errors import CryowaeError


def main(source: Path, target: Path) -> int:
    target.mkdir(parents=True, exist_ok=True)
    model = load_model()  # once for all tomograms
    failures = 0
    print(f"{'tomogram':<32}{'Å':>6}{'tilts':>14}{'in wedge':>10}")
    for path in sorted(source.glob("*.mrc")):
        try:
            tomogram = open_tomogram(path)  # finds the angles beside it
            result = restore_tomogram(tomogram, target / f"{path.stem}_restored.mrc", model=model)
        except CryowaeError as error:
            print(f"{path.name:<32}{error}", file=sys.stderr)
            failures += 1
            continue
        tilts = f"{result.tilt_min:+.0f} to {result.tilt_max:+.0f}"
        print(f"{path.name:<32}{result.voxel_size:>6.1f}{tilts:>14}{result.inferred_share:>10.0%}")
    return min(failures, 1)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
