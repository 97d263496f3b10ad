"""What is measured on a baseline, on held-out images and codes; `docs/baselines.md` says what each figure means."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from cryowae.baselines.distances import frechet_distance, kernel_distance, sliced_wasserstein
from cryowae.baselines.features import Extractor, LeNetFeatures
from cryowae.baselines.inception import InceptionFeatures
from cryowae.baselines.mixture import GaussianMixture
from cryowae.baselines.model import Baseline
from cryowae.data.images import ImageSet, signed, unsigned
from cryowae.objectives.latent import block_kernel, mmd, null_quantile

Figures = dict[str, float | str]

COMPONENTS = 10
"""Gaussians of the mixture that is fitted to codes of training images."""
_CODES = 2000  # in an MMD
_NULLS = 20  # sets of samples of the prior whose distance to another the codes' is held against
_BATCH = 250
_ENOUGH = 10_000  # codes that the mixture is fitted to


@dataclass(eq=False)
class Evaluation:
    """Measures models against held-out images.

    Attributes
    ----------
    train, held
        Images to train on, and those held out: the reference of every distance.
    test
        Images with classes, on which the errors of an AAE with labels are counted.
    extractors
        Features under which images are compared every time.
    final
        Those that take long, and are only asked at the end of a run.
    seed
        Of the samples.
    few
        How many of the images that a model made `final` sees, evenly spread; all if None. The reference stays whole.
    """

    train: ImageSet
    held: ImageSet
    test: ImageSet | None = None
    extractors: Sequence[Extractor] = ()
    final: Sequence[InceptionFeatures] = ()
    seed: int = 0
    few: int | None = None
    _references: dict[str, Tensor] = field(default_factory=dict, init=False)

    def on(self, device: str) -> Evaluation:
        """The same with its images on a device, where the models and extractors are."""
        place = torch.device(device)
        test = None if self.test is None else self.test.to(place)
        return replace(self, train=self.train.to(place), held=self.held.to(place), test=test)

    @torch.no_grad()
    def __call__(self, model: Baseline, last: bool = True) -> Figures:
        """All figures of a model, which is left as it was.

        Parameters
        ----------
        model
            In any mode.
        last
            Ask the extractors in `final` too.
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
            codes = self._codes(judged, found, generator)
            mixture = GaussianMixture.fit(codes, COMPONENTS, generator)
            made["mixture"] = _decoded(judged, mixture.sample(len(self.held), generator).to(model.device))
        if self.test is not None and model.classes:
            found["error"] = self._error(judged)
        if model.classes:
            found |= self._conditional(judged, generator)
        return found | self.distances(made, last)

    def distances(self, made: dict[str, Tensor], last: bool = True) -> Figures:
        """Frechet and kernel distances of sets of uint8 images to the held-out ones, under every extractor."""
        found: Figures = {}
        for extractor in (*self.extractors, *(self.final if last else ())):
            kind = extractor.name.split("-")[0]
            found[kind] = extractor.name
            few = self.few if extractor in self.final else None
            if extractor in self.final:
                found[f"{kind}_images"] = str(few) if few and few < len(self.held) else "all"
            for name, images in made.items():
                features = extractor(_some(images, few))
                found[f"{kind}_fd_{name}"] = frechet_distance(self._reference(extractor), features)
                draws = torch.Generator().manual_seed(self.seed)
                found[f"{kind}_kid_{name}"] = kernel_distance(self._reference(extractor), features, draws)[0]
            if "mixture" in made:
                sampled, mixed = (found[f"{kind}_fd_{name}"] for name in ("sample", "mixture"))
                found[f"{kind}_gap"] = float(sampled) - float(mixed)
        for slow in self.final if last else ():
            for images in made.values():
                slow.forget(_some(images, self.few))
        return found

    def _reference(self, extractor: Extractor) -> Tensor:
        if extractor.name not in self._references:
            self._references[extractor.name] = extractor(self.held.images)
        return self._references[extractor.name]

    def _reconstructed(self, judged: Baseline, found: Figures) -> Tensor:
        batch = _BATCH
        if judged.config.reconstruct == "train":
            # a batch is normalised by its own statistics, as the report did, in batches of its size; on a copy, since
            # the running statistics that evaluation mode uses would learn from the held-out images
            judged, batch = copy.deepcopy(judged).train(), judged.config.batch
        made = _in_batches(
            lambda images: unsigned(judged.decode(judged.encode(signed(images)))), self.held.images, batch
        )
        found["mse"] = float((signed(made) - signed(self.held.images)).square().mean())
        return made

    def _codes(self, judged: Baseline, found: Figures, generator: torch.Generator) -> Tensor:
        """Codes of training images; figures of those of held-out ones."""

        def drawn(images: Tensor) -> Tensor:
            return judged.drawn_code(signed(images), generator)

        held = _in_batches(drawn, self.held.images)[:, judged.classes :].float()
        prior = torch.randn(held.shape, generator=generator).to(held)
        found["power"] = float(held.square().sum(1).mean())
        found["power_ratio"] = float(found["power"]) / judged.style
        if judged.config.model == "vae":
            means = _in_batches(lambda images: judged.encode(signed(images)), self.held.images)
            found["power_of_means"] = float(means.square().sum(1).mean())
        count = min(_CODES, len(held))
        # not the first ones: neighbours in MNIST are of one writer, and a few writers' codes are not the law of all
        some = torch.randperm(len(held), generator=torch.Generator().manual_seed(self.seed))[:count]
        kernel = block_kernel(torch.cat([held[some.to(held.device)], prior[:count]])[:, None])
        found["mmd"] = float(mmd(kernel, torch.arange(2 * count) < count))
        found["mmd_null95"] = null_quantile(kernel, count, generator)
        found["sliced"] = sliced_wasserstein(held, prior, generator)
        null = [
            sliced_wasserstein(torch.randn(held.shape, generator=generator).to(held), prior, generator)
            for _ in range(_NULLS)
        ]
        found["sliced_null95"] = float(torch.tensor(null).quantile(0.95))
        return _in_batches(drawn, _some(self.train.images, _ENOUGH))

    def _conditional(self, judged: Baseline, generator: torch.Generator) -> Figures:
        """How often a classifier sees the class for which an image was made."""
        codes = judged.prior(len(self.held), generator)
        made, wanted = _decoded(judged, codes), codes[:, : judged.classes].argmax(1)
        judge = next((extractor for extractor in self.extractors if isinstance(extractor, LeNetFeatures)), None)
        return {} if judge is None else {"conditional": float((judge.classify(made) == wanted).float().mean())}

    def _error(self, judged: Baseline) -> float:
        assert self.test is not None and self.test.labels is not None
        codes = _in_batches(lambda images: judged.encode(signed(images)), self.test.images)
        return float((codes[:, : judged.classes].argmax(1) != self.test.labels).float().mean())


def _some(images: Tensor, few: int | None) -> Tensor:
    """As many as asked for, from all over: neighbours in MNIST are of one writer."""
    return images if few is None or few >= len(images) else images[torch.arange(few) * len(images) // few]


def _in_batches(function: Callable[[Tensor], Tensor], inputs: Tensor, size: int = _BATCH) -> Tensor:
    return torch.cat([function(some) for some in inputs.split(size)])


def _decoded(judged: Baseline, codes: Tensor) -> Tensor:
    return _in_batches(lambda some: unsigned(judged.decode(some)), codes)
