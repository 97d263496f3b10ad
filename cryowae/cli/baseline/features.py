"""What judges images, opened as the options say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cryowae.cli.baseline.options import FEATURES

if TYPE_CHECKING:
    from cryowae.baselines.features import Extractor
    from cryowae.baselines.inception import InceptionFeatures
    from cryowae.progress import Progress


def lenet_features(file: Path, device: str) -> list[Extractor]:
    """The LeNet of `baseline lenet`."""
    from cryowae.baselines.features import LeNetFeatures

    return [LeNetFeatures.read(file, device)]


def inception_features(source: str | None, device: str, shown: Progress) -> list[InceptionFeatures]:
    """Inception, if a file or the word `download` was given; what it makes is kept."""
    if source is None:
        return []
    from cryowae.baselines.inception import InceptionFeatures

    return [InceptionFeatures(source, device, shown, FEATURES)]


def say_figures(figures: Mapping[str, object]) -> None:
    """Print figures, one a line."""
    for name, value in figures.items():
        typer.echo(f"{name:24} {value:.5g}" if isinstance(value, float) else f"{name:24} {value}")
