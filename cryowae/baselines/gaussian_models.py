"""Gaussian models from scikit-learn: mixtures fitted to codes, and principal components with a Gaussian over them."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cryowae.data.images import signed, unsigned
from cryowae.errors import ConfigError

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture


def require_sklearn() -> None:
    """Check that scikit-learn is installed. Call it before long work.

    Raises
    ------
    ConfigError
        If it is missing.
    """
    if find_spec("sklearn") is None:
        raise ConfigError(
            'the figures of a baseline need scikit-learn, which is not installed: pip install "cryowae[baselines]"'
        )


def fit_mixture(
    codes: Tensor, components: int, generator: torch.Generator, rounds: int = 100, floor: float = 1e-6
) -> GaussianMixture:
    """A mixture of Gaussians with full covariances, fitted by expectation-maximisation (Dempster et al. 1977).

    The means start at codes that are far from each other (k-means++, Arthur & Vassilvitskii 2007). Every covariance
    starts as that of all codes.

    Parameters
    ----------
    codes
        `(n, d)`, at least as many as components.
    components
        Number of Gaussians.
    generator
        Gives the seed of the starts and of later samples; on the CPU.
    rounds
        Maximum number of rounds. The fit stops when the mean log-likelihood gains less than 1e-4 in a round.
    floor
        Is added to the variances, as a share of the mean variance of the codes.

    Returns
    -------
    mixture
        Of scikit-learn; `sample` draws codes, `score_samples` gives log-densities.
    """
    require_sklearn()
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    x = codes.detach().double().cpu()
    d = x.shape[1]
    ridge = floor * max(float(x.var(dim=0).mean()), 1e-6)
    precision = torch.linalg.inv(torch.cov(x.T).reshape(d, d) + ridge * torch.eye(d, dtype=x.dtype))
    mixture = GaussianMixture(
        components,
        tol=1e-4,
        reg_covar=ridge,
        max_iter=rounds,
        init_params="k-means++",
        precisions_init=((precision + precision.T) / 2).expand(components, d, d).numpy(),
        random_state=np.random.RandomState(int(torch.randint(2**31, (1,), generator=generator))),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `rounds` is a limit, not a failure
        return mixture.fit(x.numpy())


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
