"""Options that the commands of `cryowae baseline` share, and the evaluation that they describe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryowae.cli.commands import FOLDER
from cryowae.cli.terminal import progress
from cryowae.config.baseline import ModelName, Preset
from cryowae.io.outputs import check_output, make_folder

if TYPE_CHECKING:
    from cryowae.baselines.evaluate import Evaluation
    from cryowae.progress import Progress

RUNS = Path("runs/baselines")
FEATURES = RUNS / "features"
LENET = RUNS / "lenet.safetensors"
Seed = Annotated[int, typer.Option(min=0, max=2**31)]


@dataclass(frozen=True, kw_only=True)
class ImagesOptions:
    """The images that are used, and the seed.

    Attributes
    ----------
    data
        Folder of the images; by default CRYOWAE_MNIST or CRYOWAE_CELEBA.
    images
        Use only the first images, for a short trial; 0 uses all.
    seed
        Seed of weights, order, noise and samples.
    device
        Where to compute.
    """

    data: Path | None = None
    images: int = 0
    seed: Seed = 0
    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(ImagesOptions):
    """Model, images and output folder of a training.

    Attributes
    ----------
    model
        Model to train.
    preset
        The protocol of the report, or the same protocol with its errors corrected.
    epochs
        Length of the training; by default that of the preset.
    assignments
        Change one value, e.g. weight=3.
    output
        Folder of the run; by default runs/baselines/NAME.
    resume
        Continue the run in the folder with its own settings.
    overwrite
        Overwrite existing files.
    """

    model: ModelName
    preset: Preset = "fixed"
    epochs: int | None = None
    assignments: list[str] | None = None
    output: Annotated[Path | None, FOLDER] = None
    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """Options of the evaluation.

    Attributes
    ----------
    lenet
        Weights that `cryowae baseline lenet` wrote.
    fid_weights
        Compute the FID: Inception as TorchScript, or downloaded.
    fid_images
        Number of generated images for the FID; all by default.
    """

    lenet: Path = LENET
    fid_weights: str | None = None
    fid_images: Annotated[int | None, typer.Option(min=2)] = None

    @contextmanager
    def open(self, source: str, given: ImagesOptions, labels: int = 0) -> Iterator[tuple[Evaluation, Progress]]:
        """Read the networks, then the images; yields the evaluation on its device, and the progress to report to.

        Parameters
        ----------
        source
            `mnist` or `celeba`.
        given
            The images, and the seed of the samples.
        labels
            Read the test digits too if the model uses labels.
        """
        from cryowae.baselines.evaluate import Evaluation, require_sklearn
        from cryowae.baselines.features import InceptionFeatures, LeNetFeatures, accuracy_warning
        from cryowae.data.images import read_celeba, read_mnist

        require_sklearn()  # before images are read, which takes minutes
        digits = source == "mnist"
        with progress() as shown:
            extractors = [LeNetFeatures.read(self.lenet, given.device)] if digits else []
            if digits and (warning := accuracy_warning(extractors[0].accuracy)):
                shown.say(warning)
            final = [InceptionFeatures(self.fid_weights, given.device, shown, FEATURES)] if self.fid_weights else []
            folder, most = given.data, given.images or 100_000
            found = read_mnist(folder) if digits else read_celeba(folder, most, progress=shown)
            test = read_mnist(folder, "t10k") if labels else None
            judge = Evaluation(*found.halves(given.images), test, extractors, final, given.seed, self.fid_images)
            yield judge.on(given.device), shown


def new_file(path: Path, overwrite: bool) -> Path:
    """Make the folder of an output, and check that the output may be written; returns `path`."""
    make_folder(path.parent)
    check_output(path, overwrite=overwrite)
    return path
