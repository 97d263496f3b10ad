"""The rows of docs/baselines.md, each by its name.

    python tools/baselines.py [ROW ...] [--seed 0 ...] [--full] [--fid-weights FILE] [--jobs 1] [--list]

Runs the rows, all if none is named, into a folder `ROW-seedN` each; what is finished is left, and what was interrupted
goes on. Takes CUDA if it is there. With `--full`, the protocol's 100 epochs, into `ROW-full-seedN`: for a GPU, on which
several `--jobs` run at a time, since none of these networks fills it. `--list` prints the commands and runs none. Needs
CRYOWAE_MNIST, and the LeNet of `cryowae baseline lenet`; a CPU without bfloat16 takes twice as long.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_FULL = 100
_EPOCHS = {"wgan-gp": 2, "aae": 10}  # of the rows on the page, where not 15
_ROWS = {
    **{
        f"{preset}-{model}": (model, f"--preset {preset}")
        for preset in ("fixed", "faithful")
        for model in ("vae", "wae-mmd", "wae-gan", "wgan-gp")
    },
    "fixed-wae-mmd-16": ("wae-mmd", "--set code=16"),
    "fixed-wae-mmd-32": ("wae-mmd", "--set code=32"),
    "aae-100": ("aae", "--labels 100"),
    "aae-100-still": ("aae", "--labels 100 --set shift=0"),
    "aae-1000": ("aae", "--labels 1000"),
}


def options(row: str, full: bool = False) -> list[str]:
    """What follows `cryowae baseline` for a row."""
    model, own = _ROWS[row]
    epochs = _FULL if full else _EPOCHS.get(model, 15)
    often = "" if full or model == "wgan-gp" else "--set evaluate_every=5"
    return shlex.split(f"mnist --model {model} {own} --epochs {epochs} --set precision=bfloat16 {often}")


def main() -> None:
    """Run what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(_ROWS))
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--full", action="store_true", help="all 100 epochs")
    parser.add_argument("--fid-weights", metavar="FILE|download", help="Inception, for the FID at the end of each run")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time; what several print goes to ROW-seedN.txt")
    parser.add_argument("--output", type=Path, default=Path("runs/baselines/rows"))
    parser.add_argument("--list", action="store_true", help="print the commands and run none")
    args = parser.parse_args()
    if unknown := sorted(set(args.rows) - set(_ROWS)):
        parser.error(f"got {', '.join(unknown)}, expected some of {', '.join(_ROWS)}")
    if args.jobs < 1:
        parser.error(f"got --jobs {args.jobs}, expected at least 1")

    def run(job: tuple[str, int]) -> int:
        row, seed = job
        folder = args.output / f"{row}{'-full' if args.full else ''}-seed{seed}"
        command = ["cryowae", "baseline", *options(row, args.full), "--seed", str(seed), "--output", str(folder)]
        command += ["--fid-weights", args.fid_weights] if args.fid_weights else []
        command += ["--resume"] if (folder / "last.safetensors").exists() else []
        if args.list:
            print(shlex.join(command))
        if args.list or (folder / "weights.safetensors").exists():
            return 0
        if args.jobs == 1:
            return subprocess.run(command, check=False).returncode
        args.output.mkdir(parents=True, exist_ok=True)
        print(f"{folder.name} begins", flush=True)
        with folder.with_suffix(".txt").open("a") as log:
            one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
            code = subprocess.run(command, check=False, stdout=log, stderr=subprocess.STDOUT, env=one_thread).returncode
        print(f"{folder.name} {'is done' if not code else f'failed, see {log.name}'}", flush=True)
        return code

    jobs = [(row, seed) for seed in args.seed for row in args.rows or _ROWS]
    with ThreadPoolExecutor(args.jobs) as several:
        sys.exit(max(several.map(run, jobs), default=0))


if __name__ == "__main__":
    main()
