"""Options that the commands of `cryowae baseline` share, and the evaluation that they describe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cryowae.cli.terminal import progress
from cryowae.io.outputs import check_output, make_folder

if TYPE_CHECKING:
    from cryowae.baselines.evaluate import Evaluation
    from cryowae.progress import Progress

RUNS = Path("runs/baselines")
FEATURES = RUNS / "features"
LENET = RUNS / "lenet.safetensors"

Model = Annotated[
    Literal["ae", "vae", "wae-mmd", "wae-gan", "aae", "wgan-gp"],
    typer.Option(help="Model to train.", show_default=False),
]
PresetName = Annotated[
    Literal["faithful", "fixed"],
    typer.Option(help="The protocol of the report, or the same with its errors corrected."),
]
Data = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Folder of the images; by default CRYOWAE_MNIST or CRYOWAE_CELEBA."),
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Length of the training; by default that of the preset.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31, help="Seed of weights, order, noise and samples.")]
Images = Annotated[int, typer.Option(min=0, help="Use only the first images, for a short trial; 0 uses all.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change one value, e.g. weight=3.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in the folder.")]
Fid = Annotated[
    str | None,
    typer.Option(metavar="FILE|download", help="Compute the FID: Inception as TorchScript, or downloaded."),
]
FidImages = Annotated[int | None, typer.Option(min=2, help="Number of generated images for the FID; all by default.")]
LeNetFile = Annotated[Path, typer.Option("--lenet", metavar="FILE", help="Weights from `baseline lenet`.")]
Output = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Folder of the run; by default runs/baselines/NAME.")
]
OutputFolder = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the results.")]


@dataclass(frozen=True)
class JudgeOptions:
    """The options that say how models are measured. The fields are named as the options."""

    data: Path | None
    lenet: Path = LENET
    fid_weights: str | None = None
    fid_images: int | None = None
    device: str = "auto"

    @contextmanager
    def open(
        self, source: str, images: int = 0, seed: int = 0, labels: int = 0
    ) -> Iterator[tuple[Evaluation, Progress]]:
        """Read the networks, then the images; yields the evaluation on its device, and the progress to report to.

        Parameters
        ----------
        source
            `mnist` or `celeba`.
        images
            Use only the first ones; 0 uses all.
        seed
            Of the samples.
        labels
            Read the test digits too if the model knows labels.
        """
        from cryowae.baselines.evaluate import Evaluation, require_sklearn
        from cryowae.baselines.features import InceptionFeatures, LeNetFeatures, accuracy_warning
        from cryowae.data.images import read_celeba, read_mnist

        require_sklearn()  # before images are read, which takes minutes
        digits = source == "mnist"
        with progress() as shown:
            extractors = [LeNetFeatures.read(self.lenet, self.device)] if digits else []
            if digits and (warning := accuracy_warning(extractors[0].accuracy)):
                shown.say(warning)
            final = [InceptionFeatures(self.fid_weights, self.device, shown, FEATURES)] if self.fid_weights else []
            found = read_mnist(self.data) if digits else read_celeba(self.data, images or 100_000, progress=shown)
            test = read_mnist(self.data, "t10k") if labels else None
            judge = Evaluation(*found.halves(images), test, extractors, final, seed, self.fid_images)
            yield judge.on(self.device), shown


def new_file(path: Path, overwrite: bool) -> Path:
    """Make the folder of an output, and check that the output may be written; returns `path`."""
    make_folder(path.parent)
    check_output(path, overwrite=overwrite)
    return path


def say_figures(figures: Mapping[str, object]) -> None:
    """Print figures, one in a line."""
    for name, value in figures.items():
        typer.echo(f"{name:24} {value:.5g}" if isinstance(value, float) else f"{name:24} {value}")
