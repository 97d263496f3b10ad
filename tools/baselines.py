"""The rows of docs/baselines.md, each by its name.

    python tools/baselines.py [ROW ...] [--seed 0] [--output runs/baselines/rows] [--list]

Runs the rows in turn, all if none is named, into a folder `ROW-seedN` each; what is finished is left, and what was
interrupted goes on. `--list` prints the commands and runs none. Needs CRYOWAE_MNIST, and the LeNet of
`cryowae baseline lenet`; without bfloat16 in the processor it takes twice as long.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
from pathlib import Path

_HALF = "--set precision=bfloat16"
_SHORT = f"--epochs 15 {_HALF} --set evaluate_every=5"
ROWS = {
    **{
        f"{preset}-{model}": f"mnist --model {model} --preset {preset} {_SHORT}"
        for preset in ("fixed", "faithful")
        for model in ("vae", "wae-mmd", "wae-gan")
    },
    "fixed-wae-mmd-16": f"mnist --model wae-mmd --set code=16 {_SHORT}",
    **{
        f"{preset}-wgan-gp": f"mnist --model wgan-gp --preset {preset} --epochs 2 {_HALF}"
        for preset in ("fixed", "faithful")
    },
    **{
        f"aae-{labels}": f"mnist --model aae --labels {labels} --epochs 10 {_HALF} --set evaluate_every=5"
        for labels in (100, 1000)
    },
}
"""Options of `cryowae baseline` by row."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("runs/baselines/rows"))
    parser.add_argument("--list", action="store_true", help="print the commands and run none")
    options = parser.parse_args()
    unknown = sorted(set(options.rows) - set(ROWS))
    if unknown:
        parser.error(f"got {', '.join(unknown)}, expected some of {', '.join(ROWS)}")
    for row in options.rows or ROWS:
        folder = options.output / f"{row}-seed{options.seed}"
        command = ["cryowae", "baseline", *ROWS[row].split(), "--seed", str(options.seed), "--output", str(folder)]
        if (folder / "last.safetensors").exists():
            command.append("--resume")
        if options.list:
            print(shlex.join(command))
        elif not (folder / "weights.safetensors").exists():
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
