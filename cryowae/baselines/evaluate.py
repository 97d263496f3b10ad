"""Figures of a baseline on held-out images and codes. `docs/baselines.md` defines each of them."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cryowae.baselines.distances import frechet_distance, kernel_distance, sliced_wasserstein
from cryowae.baselines.features import InceptionFeatures, LeNetFeatures
from cryowae.baselines.model import Baseline
from cryowae.data.images import ImageSet, signed, unsigned
from cryowae.errors import ConfigError
from cryowae.models.weights import pick_device
from cryowae.objectives.mmd import block_kernel, mmd, null_quantile

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

Figures = dict[str, float | str]

COMPONENTS = 10
"""Gaussians in the mixture that is fitted to codes of training images."""
_CODES = 2000  # in an MMD
_NULLS = 20  # pairs of sets of prior samples, whose sliced distances give the null quantile
_BATCH = 250
_ENOUGH = 10_000  # codes to which the mixture is fitted


@dataclass(eq=False)
class Evaluation:
    """Measures models on held-out images.

    Attributes
    ----------
    train, held
        Images to train on, and held-out images. The latter are the reference of every distance.
    test
        Images with classes, on which the errors of an AAE with labels are counted.
    extractors
        Features for comparing images, used in every evaluation. The first one also classifies images.
    final
        Slow features, used only at the end of a run.
    seed
        Seed of the samples.
    few
        Number of generated images for the `final` features, evenly spread; None for all. The reference is
        always the whole held-out set.

    Raises
    ------
    ConfigError
        If scikit-learn is not installed.
    """

    train: ImageSet
    held: ImageSet
    test: ImageSet | None = None
    extractors: Sequence[LeNetFeatures] = ()
    final: Sequence[InceptionFeatures] = ()
    seed: int = 0
    few: int | None = None
    _references: dict[str, Tensor] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        require_sklearn()

    def on(self, device: str) -> Evaluation:
        """The same with its images on a device (`auto`, `cpu`, `cuda` or `mps`), that of the models and extractors."""
        place = torch.device(pick_device(device))
        test = None if self.test is None else self.test.to(place)
        return replace(self, train=self.train.to(place), held=self.held.to(place), test=test)

    @torch.no_grad()
    def __call__(self, model: Baseline, last: bool = True) -> Figures:
        """All figures of a model. The model is not changed.

        Parameters
        ----------
        model
            In any mode.
        last
            Use the extractors in `final` too.
        """
        config = model.config
        found: Figures = {name: str(getattr(config, name)) for name in ("data", "model", "preset", "seed", "labels")}
        found |= {"weight": f"{config.weight:g}", "code": str(model.style), "training_images": str(len(self.train))}
        found |= {"epochs": str(config.epochs), "changed": config.changed()}
        judged = copy.deepcopy(model).eval()
        generator = torch.Generator().manual_seed(self.seed)
        made = {"sample": _decoded(judged, judged.prior(len(self.held), generator))}
        if model.encoder is not None:
            made["reconstruct"] = self._reconstructed(judged, found)
            mixture = fit_mixture(self._codes(judged, found, generator), COMPONENTS, generator)
            drawn = torch.from_numpy(mixture.sample(len(self.held))[0]).float()
            made["mixture"] = _decoded(judged, drawn.to(model.device))
        if model.classes:
            found |= self._class_figures(judged, generator)
        return found | self.distances(made, last)

    def distances(self, made: dict[str, Tensor], last: bool = True) -> Figures:
        """Frechet and kernel distances from sets of uint8 images to the held-out ones, with every extractor."""
        found: Figures = {}
        extractors: list[LeNetFeatures | InceptionFeatures] = [*self.extractors, *(self.final if last else ())]
        for extractor in extractors:
            kind, few = extractor.name.split("-")[0], None
            found[kind] = extractor.name
            if isinstance(extractor, InceptionFeatures):
                few = self.few
                found[f"{kind}_images"] = str(few) if few and few < len(self.held) else "all"
            for name, images in made.items():
                features = extractor(_some(images, few))
                if extractor.name not in self._references:
                    self._references[extractor.name] = extractor(self.held.images)
                both = self._references[extractor.name], features
                found[f"{kind}_fd_{name}"] = frechet_distance(*both)
                found[f"{kind}_kid_{name}"] = kernel_distance(*both, torch.Generator().manual_seed(self.seed))[0]
            if "mixture" in made:
                found[f"{kind}_gap"] = float(found[f"{kind}_fd_sample"]) - float(found[f"{kind}_fd_mixture"])
            if isinstance(extractor, InceptionFeatures):
                for images in made.values():
                    extractor.forget(_some(images, few))
        return found

    def _reconstructed(self, judged: Baseline, found: Figures) -> Tensor:
        batch = _BATCH
        if judged.config.reconstruct == "train":
            # The report normalised each batch by its own statistics. A copy does this here, in batches of the same
            # size, because training mode would update the running statistics with held-out images.
            judged, batch = copy.deepcopy(judged).train(), judged.config.batch
        held = self.held.images
        made = _in_batches(lambda images: unsigned(judged.decode(judged.encode(signed(images)))), held, batch)
        found["mse"] = float((signed(made) - signed(held)).square().mean())
        return made

    def _codes(self, judged: Baseline, found: Figures, generator: torch.Generator) -> Tensor:
        """Codes of training images; adds the figures of the codes of held-out images."""
        held = _encoded(judged, self.held.images, generator)[:, judged.classes :].float()

        def normal() -> Tensor:
            return torch.randn(held.shape, generator=generator).to(held)

        prior = normal()
        found["power"] = float(held.square().sum(1).mean())
        found["power_ratio"] = float(found["power"]) / judged.style
        if judged.random:
            means = _encoded(judged, self.held.images)
            found["power_of_means"] = float(means.square().sum(1).mean())
        count = min(_CODES, len(held))
        # a random choice: neighbours in MNIST are by the same writer, so the first codes do not represent all
        some = torch.randperm(len(held), generator=torch.Generator().manual_seed(self.seed))[:count]
        kernel = block_kernel(torch.cat([held[some.to(held.device)], prior[:count]])[:, None])
        found["mmd"] = float(mmd(kernel, torch.arange(2 * count) < count))
        found["mmd_null95"] = null_quantile(kernel, count, generator)
        found["sliced"] = sliced_wasserstein(held, prior, generator)
        null = torch.tensor([sliced_wasserstein(normal(), prior, generator) for _ in range(_NULLS)])
        found["sliced_null95"] = float(null.quantile(0.95))
        return _encoded(judged, _some(self.train.images, _ENOUGH), generator)

    def _class_figures(self, judged: Baseline, generator: torch.Generator) -> Figures:
        """Share of test images with a wrong class; share of samples that a classifier puts into their class."""
        found: Figures = {}
        if self.test is not None and self.test.labels is not None:
            codes = _encoded(judged, self.test.images)
            found["error"] = float((codes[:, : judged.classes].argmax(1) != self.test.labels).float().mean())
        if self.extractors:
            codes = judged.prior(len(self.held), generator)
            right = self.extractors[0].classify(_decoded(judged, codes)) == codes[:, : judged.classes].argmax(1)
            found["conditional"] = float(right.float().mean())
        return found


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


def fit_mixture(codes: Tensor, components: int, generator: torch.Generator) -> GaussianMixture:
    """A mixture of Gaussians with full covariances, fitted by expectation-maximisation (Dempster et al. 1977).

    The means start at codes that are far from each other (k-means++, Arthur & Vassilvitskii 2007). Every covariance
    starts as that of all codes. The fit stops when the mean log-likelihood gains less than 1e-4 in a round, or after
    100 rounds. A millionth of the mean variance of the codes is added to the variances.

    Parameters
    ----------
    codes
        `(n, d)`, at least as many as components.
    components
        Number of Gaussians.
    generator
        Gives the seed of the starts and of later samples; on the CPU.

    Returns
    -------
    mixture
        Object of scikit-learn; `sample` draws codes, `score_samples` gives log-densities.
    """
    require_sklearn()
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    x = codes.detach().double().cpu()
    d = x.shape[1]
    ridge = 1e-6 * max(float(x.var(dim=0).mean()), 1e-6)
    precision = torch.linalg.inv(torch.cov(x.T).reshape(d, d) + ridge * torch.eye(d, dtype=x.dtype))
    start = ((precision + precision.T) / 2).expand(components, d, d).numpy()
    random = np.random.RandomState(int(torch.randint(2**31, (1,), generator=generator)))
    how = {"tol": 1e-4, "reg_covar": ridge, "max_iter": 100, "init_params": "k-means++"}
    mixture = GaussianMixture(components, **how, precisions_init=start, random_state=random)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reaching the limit of rounds is not an error
        return mixture.fit(x.numpy())


def _some(images: Tensor, few: int | None) -> Tensor:
    """`few` images, evenly spread: neighbours in MNIST are by the same writer. None for all."""
    return images if few is None or few >= len(images) else images[torch.arange(few) * len(images) // few]


def _in_batches(function: Callable[[Tensor], Tensor], inputs: Tensor, size: int = _BATCH) -> Tensor:
    return torch.cat([function(some) for some in inputs.split(size)])


def _encoded(judged: Baseline, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    return _in_batches(lambda some: judged.encode(signed(some), generator), images)


def _decoded(judged: Baseline, codes: Tensor) -> Tensor:
    return _in_batches(lambda some: unsigned(judged.decode(some)), codes)
