"""Train the shipped weights, and install them.

    python tools/train_weights.py [--output runs/cryowae-3] [--fresh] [--install] [--set data.batch=16 ...]

One command, at most 90 minutes on two cores, minutes on a GPU. Starts from the shipped weights where there are some
(`--fresh` does not), resumes an interrupted run, and with `--install` copies the result to
`cryowae/weights/`. Needs CRYOWAE_DATA. Score the result with `cryowae benchmark run`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
from pathlib import Path

import torch

from cryowae.config import load_config
from cryowae.errors import CheckpointError
from cryowae.models.weights import find_weights, pick_device
from cryowae.progress import TerminalProgress
from cryowae.train import train

WEIGHTS = Path(__file__).parent.parent / "cryowae" / "weights"


def main() -> None:
    """Train according to the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="cryowae-3")
    parser.add_argument("--output", type=Path, default=Path("runs/cryowae-3"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--fresh", action="store_true", help="do not start from the shipped weights")
    parser.add_argument("--install", action="store_true", help="copy the result to cryowae/weights/")
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], metavar="NAME=VALUE")
    args = parser.parse_args()
    overrides = list(args.overrides)
    if pick_device(args.device) == "cuda":
        # the scenes are made on the CPU's cores, as many as there are; the GPU then takes larger batches
        overrides = [f"data.workers={max((os.cpu_count() or 2) - 2, 1)}", "data.batch=16", "data.pool=64", *overrides]
    else:
        torch.set_num_threads(os.cpu_count() or 1)
    if not args.fresh:
        with contextlib.suppress(CheckpointError):  # without earlier weights of this name, start from random weights
            find_weights(args.config)
            overrides.append(f"start_from={args.config}")
    config = load_config(args.config, overrides)
    resume = (args.output / "last.safetensors").exists()
    with TerminalProgress() as progress:
        weights = train(config, args.output, resume=resume, device=args.device, progress=progress)
    if args.install:
        WEIGHTS.mkdir(exist_ok=True)
        shutil.copy(weights, WEIGHTS / f"{config.name}.safetensors")


if __name__ == "__main__":
    main()
