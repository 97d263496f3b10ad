"""Train the rows of the tables in docs/baselines.md, by their names.

    python tools/baselines.py [ROW ...] [--seed 0 ...] [--full] [--fid-weights FILE] [--jobs 1] [--list]

Every row has a folder `ROW-seedN`; without names, all rows are run. Finished runs are not repeated, and
interrupted runs continue. CUDA is used if it is available. `--full` takes the 100 epochs of the protocol, in folders
`ROW-full-seedN`. It is meant for a GPU: these networks are small, so let several `--jobs` run on it at a time. `--list`
prints the commands and runs none. Needs CRYOWAE_MNIST and the LeNet of `cryowae baseline lenet`. A CPU without bfloat16
takes twice as long.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_FULL = 100
_EPOCHS = {"wgan-gp": 2, "aae": 10}  # of the rows on the page that do not have 15
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
    """The arguments of `cryowae baseline` for a row."""
    model, own = _ROWS[row]
    epochs = _FULL if full else _EPOCHS.get(model, 15)
    often = "" if full or model == "wgan-gp" else "--set evaluate_every=5"
    return shlex.split(f"mnist --model {model} {own} --epochs {epochs} --set precision=bfloat16 {often}")


def main() -> None:
    """Run the rows that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(_ROWS))
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--full", action="store_true", help="all 100 epochs")
    parser.add_argument("--fid-weights", metavar="FILE|download", help="Inception, for the FID at the end of each run")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time; several print to ROW-seedN.txt")
    parser.add_argument("--output", type=Path, default=Path("runs/baselines/rows"))
    parser.add_argument("--list", action="store_true", help="print the commands without running them")
    args = parser.parse_args()
    if unknown := sorted(set(args.rows) - set(_ROWS)):
        parser.error(f"got {', '.join(unknown)}, expected some of {', '.join(_ROWS)}")
    if args.jobs < 1:
        parser.error(f"got --jobs {args.jobs}, expected at least 1")

    commands = {}
    for seed in args.seed:
        for row in args.rows or _ROWS:
            folder = args.output / f"{row}{'-full' if args.full else ''}-seed{seed}"
            words = ["baseline", *options(row, args.full), "--seed", str(seed), "--output", str(folder)]
            words += ["--fid-weights", args.fid_weights] if args.fid_weights else []
            commands[folder] = words + (["--resume"] if (folder / "last.safetensors").exists() else [])
    if args.list:
        print("\n".join(f"cryowae {shlex.join(words)}" for words in commands.values()))
    else:
        sys.exit(run(commands, args.jobs))


def run(commands: dict[Path, list[str]], at_a_time: int) -> int:
    """Run the command of each folder that is not finished. Returns the exit status.

    A failed run does not stop the others. The output of several runs goes to a file beside each folder.
    """
    stopped = threading.Event()
    # running commands get the signal too; no other one is started
    signal.signal(signal.SIGINT, lambda *_: stopped.set())

    def one(folder: Path) -> int:
        if stopped.is_set() or (folder / "weights.safetensors").exists():
            return 0
        command = [sys.executable, "-m", "cryowae", *commands[folder]]
        if at_a_time == 1:
            return subprocess.run(command, check=False).returncode
        folder.parent.mkdir(parents=True, exist_ok=True)
        print(f"{folder.name} starts", flush=True)
        with folder.with_suffix(".txt").open("a") as log:
            env = {**os.environ, "OMP_NUM_THREADS": "1"}
            code = subprocess.run(command, check=False, stdout=log, stderr=log, env=env).returncode
        print(f"{folder.name} {f'ended with {code}, see {log.name}' if code else 'is done'}", flush=True)
        return code

    with ThreadPoolExecutor(at_a_time) as several:
        codes = list(several.map(one, commands))
    return 130 if stopped.is_set() else int(any(codes))


if __name__ == "__main__":
    main()
