"""What judges images, opened as the options say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from cryowae.baselines.features import Extractor


def lenet_features(file: Path, device: str) -> list[Extractor]:
    """The LeNet of `baseline lenet`."""
    from cryowae.baselines.features import LeNetFeatures

    return [LeNetFeatures.read(file, device)]


def inception_features(file: Path | None, device: str) -> list[Extractor]:
    """Inception, if a file was given."""
    from cryowae.baselines.features import InceptionFeatures

    return [] if file is None else [InceptionFeatures(file, device)]


def say_figures(figures: Mapping[str, object]) -> None:
    """Print figures, one a line."""
    for name, value in figures.items():
        typer.echo(f"{name:24} {value:.5g}" if isinstance(value, float) else f"{name:24} {value}")
