"""Score weights on scenes of molecules that they were not trained on, and on pure noise.

    python tools/evaluate_weights.py [--model default] [--output docs/evaluation] [--seeds 3] [--snr 0.5 0.05]

Needs CRYOWAE_DATA. Every scene goes through `restore_tomogram` as a user's file would. Beside the weights stand the
input, a Gaussian filter (of the width that suits the truth best, which no user could know) and the Wiener filter
with the true signal-to-noise ratio per shell. Writes `table.csv`, `table.md` and contact sheets.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cryowae.data.library import load_library
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.metrics import Scores, score
from cryowae.models.pretrained import RestorationModel, load_model
from cryowae.physics.observation import Observation, observe
from cryowae.physics.scene import make_scene
from cryowae.physics.tomography import even_tilts
from cryowae.physics.wedge import Wedge
from cryowae.physics.weighting import Filter
from cryowae.report import SheetEntry, draw_contact_sheet
from cryowae.restore import RestoreOptions, restore_tomogram
from cryowae.tomogram import open_tomogram

HELD_OUT = (
    *(f"densities/polnet_10A/{name}.mrc.gz" for name in ("2uv8", "7n4y", "1f4a", "1u6g", "4v7r")),
    *(f"models/{name}" for name in ("3jb9.cif.gz", "6vxx.pdb.gz", "1mnf.pdb.gz", "1kx5.pdb.gz")),
    "densities/chlamy_insitu_STA_ATPsynthase_dimer_7.84A.mrc",
)
SHAPE, VOXEL_SIZE = (96, 192, 192), 10.0
HANN = Filter(window=0.5)
CROP = 12

Array = NDArray[np.float32]


def main() -> None:
    """Run the evaluation that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--output", type=Path, default=Path("docs/evaluation"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--snr", type=float, nargs="+", default=[0.5, 0.05])
    parser.add_argument("--tilts", type=float, nargs=3, default=[-60.0, 60.0, 3.0], metavar=("LO", "HI", "STEP"))
    parser.add_argument("--occupancy", type=float, default=0.08)
    parser.add_argument("--particles", type=int, help="at most so many, largest first, for a thin scene")
    parser.add_argument("--half", action="store_true", help="compute in bfloat16")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    model = load_model(args.model, half=True if args.half else None)
    library = load_library(HELD_OUT)
    angles = even_tilts(*args.tilts)
    rows: list[dict[str, object]] = []
    for seed in range(1, args.seeds + 1):
        rng = np.random.default_rng([seed, 20261121])
        limits = {"occupancy": args.occupancy, "max_particles": args.particles}
        truth = make_scene(library, SHAPE, VOXEL_SIZE, rng, **limits).density
        seen = observe(truth, angles, torch.Generator().manual_seed(seed), weighting=HANN)
        for snr in args.snr:
            volumes = {"input": seen.tomogram(snr).numpy()}
            volumes["Gaussian, best width"] = _gaussian(truth.numpy(), volumes["input"])
            volumes["Wiener, true SNR"] = _wiener(truth, seen, snr)
            volumes[model.name] = _restore(volumes["input"], model, angles)
            noise = seen.tomogram(snr) - seen.signal
            empty = _restore(noise.numpy(), model, angles)
            inner = (slice(CROP, -CROP),) * 3
            ratio = float(empty[inner].std() / volumes[model.name][inner].std())
            scores = {name: score(truth.numpy(), v, (angles[0], angles[-1]), CROP) for name, v in volumes.items()}
            rows += [
                {"snr": snr, "seed": seed, "method": name, **asdict(values)}
                | ({"noise_ratio": ratio} if name == model.name else {})
                for name, values in scores.items()
            ]
            print(f"seed {seed}, SNR {snr}: noise ratio {ratio:.3f}", *_lines(scores), sep="\n  ", flush=True)
            if seed == 1:
                entries = [SheetEntry("ground truth", truth.numpy())]
                entries += [SheetEntry(n, v, _shown(scores[n])) for n, v in volumes.items()]
                sheet = args.output / f"sheet_snr{snr:g}.png"
                draw_contact_sheet(sheet, entries, voxel_size=VOXEL_SIZE, title=f"held-out molecules, SNR {snr:g}")
    _write(rows, args.output)


def _restore(volume: Array, model: RestorationModel, angles: tuple[float, ...]) -> Array:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.mrc"
        write_mrc(path, volume.astype(np.float32), voxel_size=VOXEL_SIZE)
        tomogram = open_tomogram(path, tilt_range=(angles[0], angles[-1]))
        options = RestoreOptions(contrast="bright", report=False)
        result = restore_tomogram(tomogram, Path(folder) / "restored.mrc", model=model, options=options)
        return np.array(read_mrc(result.path).data, dtype=np.float32)


def _gaussian(truth: Array, volume: Array) -> Array:
    tried = [gaussian_filter(volume, width) for width in (0.7, 1.0, 1.4, 2.0, 2.8, 4.0)]
    return max(tried, key=lambda v: float(np.corrcoef(v.ravel(), truth.ravel())[0, 1]))


def _wiener(truth: torch.Tensor, seen: Observation, snr: float) -> Array:
    """`S / (S + N)` per shell over the measured components, from the noise-free signal and the noise themselves."""
    shape = tuple(truth.shape)
    mask = Wedge.binary(seen.angles[0], seen.angles[-1]).mask(shape) > 0.5
    k = torch.meshgrid(*[torch.fft.fftfreq(n) for n in shape[:2]], torch.fft.rfftfreq(shape[2]), indexing="ij")
    shell = (torch.stack(k).square().sum(0).sqrt() * 100).long()
    y = seen.tomogram(snr)
    whole, target = (torch.fft.rfftn(v) for v in (y, truth))
    count = int(shell.max()) + 1

    def mean(values: torch.Tensor) -> torch.Tensor:
        return torch.bincount(shell[mask], values[mask].double(), count)

    gain = mean((target * whole.conj()).real) / mean(whole.abs().square()).clamp(min=1e-12)
    filtered = whole * mask * gain.clamp(min=0).float()[shell]
    restored: Array = torch.fft.irfftn(filtered, s=shape).numpy()
    return restored


def _shown(scores: Scores) -> dict[str, float]:
    return {"NCC": scores.ncc, "FSC wedge": scores.fsc_mw, "FSC meas.": scores.fsc_obs}


def _lines(scores: dict[str, Scores]) -> list[str]:
    return [f"{name:22s} {s.ncc:6.3f} {s.fsc_mw:6.3f} {s.fsc_obs:6.3f}" for name, s in scores.items()]


def _write(rows: list[dict[str, object]], folder: Path) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    columns = ("ncc", "fsc_mw", "fsc_obs", "noise_ratio")
    lines = ["| SNR | method | NCC | wedge FSC | measured FSC | output on noise |", "|---|---|---|---|---|---|"]
    for snr, method in dict.fromkeys((row["snr"], row["method"]) for row in rows):
        mine = [row for row in rows if (row["snr"], row["method"]) == (snr, method)]
        cells = []
        for column in columns:
            values = [float(str(row[column])) for row in mine if column in row]
            cells.append(f"{np.mean(values):.3f} ± {np.std(values):.3f}" if values else "")
        lines.append(f"| {snr} | {method} | " + " | ".join(cells) + " |")
    (folder / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
