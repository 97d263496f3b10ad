"""What a training run leaves for people: a table of its terms, their curves, decoded samples of the prior."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor

from cryowae.data.synthetic import Batch, SyntheticPairs
from cryowae.models.autoencoder import interpolate_codes
from cryowae.report import SheetEntry, draw_contact_sheet, draw_training_curves
from cryowae.train.state import TrainingState


class Record:
    """Averages what the steps report, writes a row every `log_every` steps, and draws.

    Parameters
    ----------
    folder
        Where `log.csv`, `curves.png`, `prior.png` and `interpolation.png` go.
    state
        The run.
    keep
        Go on with the rows up to the state's step instead of starting a new table.
    """

    def __init__(self, folder: Path, state: TrainingState, keep: bool) -> None:
        self._folder = folder
        self._table = folder / "log.csv"
        self._sums: dict[str, list[float]] = defaultdict(list)
        rows: list[dict[str, str]] = []
        if keep and self._table.exists():
            with self._table.open() as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= state.step]
        self._rows: list[dict[str, str]] = rows
        self._examples: Batch | None = None

    def add(self, state: TrainingState, values: dict[str, float], seconds: float) -> None:
        """Note the terms of one step."""
        for name, value in {**values, "seconds": seconds}.items():
            self._sums[name].append(value)
        if state.step % state.config.log_every:
            return
        row = {"step": str(state.step), "lr": f"{state.optimiser.rate:.6g}"}
        row |= {name: f"{sum(numbers) / len(numbers):.6g}" for name, numbers in self._sums.items()}
        self._rows.append(row)
        self._sums.clear()
        names = list(dict.fromkeys(name for r in self._rows for name in r))
        with self._table.open("w", newline="") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows(self._rows)

    @torch.no_grad()
    def draw(self, state: TrainingState) -> None:
        """Draw the curves, decoded samples of the prior, and the way from one volume's codes to another's."""
        if self._rows:
            draw_training_curves(self._table, self._folder / "curves.png")
        network, config = state.average, state.config
        generator = torch.Generator().manual_seed(config.seed + 2)
        if self._examples is None:
            calm = config.data.model_copy(update={"workers": 0, "pool": 1})
            with SyntheticPairs(calm, config.seed + 1) as pairs:
                self._examples = pairs.batch(0)
        batch = self._examples
        device = next(network.parameters()).device
        codes = [c[:2] for c in network.encode(batch.observation[:2].to(device))]
        prior = [torch.randn(4, *c.shape[1:], generator=generator).to(device) for c in codes]
        if config.match.prior == "structure":
            prior = network.encode(batch.truth.to(device))
        made = network.decode(prior)
        samples = [SheetEntry("sample of the prior", _array(volume)) for volume in made]
        draw_contact_sheet(self._folder / "prior.png", samples, normalise=False)
        if len(codes[0]) < 2:
            return
        path = interpolate_codes([c[:1] for c in codes], [c[1:] for c in codes], 5)
        shares = torch.linspace(0, 1, len(path)).tolist()
        steps = [SheetEntry(f"{t:.0%}", _array(network.decode(s)[0])) for t, s in zip(shares, path, strict=True)]
        draw_contact_sheet(self._folder / "interpolation.png", steps, normalise=False)


def _array(volume: Tensor) -> Tensor:
    return volume[0].float().cpu()
