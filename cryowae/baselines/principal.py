"""What an autoencoder and a sampler must beat: principal components, and a Gaussian over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cryowae.baselines.evaluate import Evaluation
from cryowae.data.images import signed, unsigned
from cryowae.progress import SILENT, Progress
from cryowae.train.rows import Rows


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """The linear autoencoder of least squared error, with the Gaussian of its codes.

    Attributes
    ----------
    mean
        `(values,)` of an image.
    axes
        `(values, k)` orthonormal, by falling variance.
    variances
        `(k,)` of the codes.
    shape
        `(c, size, size)` of an image.
    """

    mean: Tensor
    axes: Tensor
    variances: Tensor
    shape: tuple[int, ...]

    @classmethod
    def fit(cls, images: Tensor, count: int) -> PrincipalComponents:
        """The first `count` components of `(n, c, size, size)` uint8 images."""
        shape = tuple(images.shape[1:])
        values = shape[0] * shape[1] * shape[2]
        total, products = torch.zeros(values), torch.zeros(values, values)
        for some in images.split(2000):
            flat = signed(some).flatten(1).cpu()
            total += flat.sum(0)
            products += flat.T @ flat
        mean = (total / len(images)).double()
        covariance = products.double() / len(images) - mean[:, None] * mean[None]
        variances, axes = torch.linalg.eigh(covariance)
        chosen = slice(-count, None)
        found = axes[:, chosen].flip(1), variances[chosen].flip(0).clamp(min=0)
        return cls(mean.float(), found[0].float(), found[1].float(), shape)

    def reconstruct(self, images: Tensor) -> Tensor:
        """uint8 images from their codes alone."""
        flat = signed(images).flatten(1).cpu() - self.mean
        return self._images(flat @ self.axes)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """`(count, c, size, size)` uint8, of the Gaussian with the moments of the codes."""
        codes = torch.randn(count, len(self.variances), generator=generator) * self.variances.sqrt()
        return self._images(codes)

    def _images(self, codes: Tensor) -> Tensor:
        return unsigned((codes @ self.axes.T + self.mean).view(-1, *self.shape))


def measure_references(judge: Evaluation, counts: Sequence[int], path: Path, progress: Progress = SILENT) -> None:
    """Write the figures of principal components, and of training images against the held-out ones.

    Parameters
    ----------
    judge
        Has the images and the extractors.
    counts
        Numbers of components.
    path
        CSV with a row for each number, and one for the images themselves: what a perfect sampler would have.
    progress
        Told every row.
    """
    rows, held = Rows(path), judge.held.images
    progress.begin("references", len(counts) + 1, "rows")
    common = {"data": judge.held.name.split("-")[0], "preset": "", "seed": str(judge.seed), "labels": "0"}
    common["training_images"] = str(len(judge.train))
    for number, count in enumerate(counts):
        model = PrincipalComponents.fit(judge.train.images, count)
        made = {
            "reconstruct": model.reconstruct(held).to(held.device),
            "sample": model.sample(len(held), torch.Generator().manual_seed(judge.seed)).to(held.device),
        }
        error = float((signed(made["reconstruct"]) - signed(held)).square().mean())
        rows.write(number, {**common, "model": "pca", "code": str(count), "mse": error, **judge.distances(made)})
        progress.advance()
    real = {"sample": judge.train.images[: len(held)]}
    rows.write(len(counts), {**common, "model": "pca: real images", "code": "", **judge.distances(real)})
    progress.advance()
    progress.end()
