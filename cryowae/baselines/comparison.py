"""Tables of runs, with means and standard deviations over seeds, and of the references for comparison."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cryowae.baselines.evaluate import Evaluation, require_sklearn
from cryowae.data.images import signed, unsigned
from cryowae.errors import ConfigError
from cryowae.io.outputs import write_text
from cryowae.progress import SILENT, Progress
from cryowae.train.state import Rows, read_rows, write_rows

_KEYS = ("data", "model", "preset", "weight", "code", "labels", "training_images", "epoch", "epochs", "changed")
_HEADINGS = {
    "mse": ("MSE", 4),
    "power_of_means": ("E m²", 2),
    "power": ("E z²", 2),
    "power_ratio": ("E z² / d", 3),
    "mmd": ("MMD²", 4),
    "mmd_null95": ("null 95 %", 4),
    "sliced": ("sliced W", 3),
    "sliced_null95": ("null 95 %", 3),
    "lenet_fd_reconstruct": ("LeNet FD reconstruct", 2),
    "lenet_fd_sample": ("LeNet FD sample", 2),
    "lenet_fd_mixture": ("LeNet FD GMM", 2),
    "inception_fd_reconstruct": ("FID reconstruct", 2),
    "inception_fd_sample": ("FID sample", 2),
    "inception_fd_mixture": ("FID GMM", 2),
    "inception_kid_sample": ("KID sample", 4),
    "error": ("error", 4),
    "conditional": ("class as requested", 3),
}


def collect(runs: Sequence[Path]) -> list[dict[str, str]]:
    """The last row of each run's `evaluation.csv`, with the name of the run; all rows of references.

    Raises
    ------
    ConfigError
        If a folder has no figures, two runs have the same settings and seed, or figures of different extractors
        would be in one column.
    """
    rows: list[dict[str, str]] = []
    for run in runs:
        found = _figures(run / "evaluation.csv" if run.is_dir() else run)
        rows += [{"run": str(run), **row} for row in (found if found[0]["model"].startswith("pca") else found[-1:])]
    known: dict[tuple[str, ...], str] = {}
    for row in rows:
        key = (*_settings(row), row.get("seed", ""))
        if key in known:
            raise ConfigError(f"got {known[key]} and {row['run']}, of the same settings and seed; give one of them")
        known[key] = row["run"]
    for kind in ("lenet", "inception"):
        names = {f"{row[kind]} of {row.get(f'{kind}_images') or 'all'} images" for row in rows if row.get(kind)}
        if len(names) > 1:
            raise ConfigError(
                f"got figures under {' and under '.join(sorted(names))}, which cannot be compared: use one {kind} and "
                "the same number of images"
            )
    return rows


def write_table(rows: Sequence[dict[str, str]], path: Path) -> str:
    """Write all figures as CSV and means over seeds as Markdown: the `table_files` of `path`. Returns the Markdown.

    The Markdown has a row for each configuration: the mean, and the sample standard deviation if there are several
    seeds.
    """
    figures, means = table_files(path)
    write_rows(rows, figures)
    keys = [key for key in _KEYS if len({row.get(key, "") for row in rows}) > 1 or key in ("data", "model", "preset")]
    scores = [name for name in _HEADINGS if any(row.get(name) for row in rows)]
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(_settings(row), []).append(row)
    lines = [[*keys, "seeds", *(_HEADINGS[name][0] for name in scores)]]
    for group in groups.values():
        cells = [group[0].get(key, "") for key in keys] + [str(len({row.get("seed") for row in group}))]
        lines.append([*cells, *(_cell(group, name) for name in scores)])
    head, *body = (f"| {' | '.join(line)} |" for line in lines)
    text = "\n".join([head, "|" + "---|" * len(keys) + "---:|" * (len(scores) + 1), *body, ""])
    write_text(means, text)
    return text


def measure_references(judge: Evaluation, counts: Sequence[int], path: Path, progress: Progress = SILENT) -> None:
    """Write the figures of principal components, and of training images against held-out images.

    An autoencoder should be better than principal components, and a sampler better than a Gaussian over them.

    Parameters
    ----------
    judge
        Has the images and the extractors.
    counts
        Numbers of components.
    path
        CSV with one row for each number, and one for the training images: the figures of a perfect sampler.
    progress
        Advances with every row.
    """
    rows, held = Rows(path), judge.held.images
    common = {"data": judge.held.name.split("-")[0], "preset": "", "seed": str(judge.seed), "labels": "0"}
    common["training_images"] = str(len(judge.train))
    for number, count in enumerate(progress.track("references", [*counts, 0], "rows")):
        row: dict[str, object] = {"model": "pca: real images", "code": ""}
        made = {"sample": judge.train.images[: len(held)]}
        if count:
            generator = torch.Generator().manual_seed(judge.seed)
            made["reconstruct"], made["sample"] = principal_components(judge.train.images, held, count, generator)
            error = float((signed(made["reconstruct"]) - signed(held)).square().mean())
            row = {"model": "pca", "code": str(count), "mse": error}
        rows.write(number, {**common, **row, **judge.distances(made)})


def principal_components(train: Tensor, held: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The linear autoencoder with the least squared error, and samples of a Gaussian with the moments of its codes.

    Parameters
    ----------
    train
        `(n, c, size, size)` uint8 images to fit.
    held
        `(m, c, size, size)` uint8 images to reconstruct.
    count
        Number of components; at most as many as there are images, or values in an image.
    generator
        Draws the samples; on the CPU.

    Returns
    -------
    reconstructions, samples
        `(m, c, size, size)` uint8, on the device of `held`.
    """
    require_sklearn()
    from sklearn.decomposition import PCA

    flat, known = (signed(images).flatten(1).cpu().numpy() for images in (train, held))
    pca = PCA(min(count, *flat.shape), svd_solver="covariance_eigh").fit(flat)
    noise = torch.randn(len(held), pca.n_components_, generator=generator).numpy()
    made = (pca.inverse_transform(codes) for codes in (pca.transform(known), noise * np.sqrt(pca.explained_variance_)))
    reconstructions, samples = (unsigned(torch.from_numpy(images)).view_as(held).to(held.device) for images in made)
    return reconstructions, samples


def table_files(path: Path) -> tuple[Path, Path]:
    """`path`.csv and `path`.md; `path` may end in either."""
    stem = path.with_suffix("") if path.suffix in (".csv", ".md") else path
    return stem.with_name(f"{stem.name}.csv"), stem.with_name(f"{stem.name}.md")


def _figures(path: Path) -> list[dict[str, str]]:
    try:
        found = read_rows(path) if path.is_file() else []
    except (UnicodeDecodeError, csv.Error):
        found = []
    if not found or not found[0].get("model"):
        raise ConfigError(f"no figures in {path}; expected the folder of a run of `cryowae baseline`")
    return found


def _settings(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row.get(key, "") for key in _KEYS)


def _cell(group: Sequence[dict[str, str]], name: str) -> str:
    values = [float(row[name]) for row in group if row.get(name)]
    if not values:
        return ""
    digits = _HEADINGS[name][1]
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"
