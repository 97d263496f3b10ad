"""Pictures of what a baseline makes: samples of the prior, reconstructions, interpolations between codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot, pad

from cryowae.baselines.digits import RestoredDigits
from cryowae.baselines.model import SavedBaseline
from cryowae.data.images import signed, unsigned
from cryowae.report.style import FAINT, WIDTH, house_style, new_figure, place, save, write

Mosaic = NDArray[np.uint8]
ACROSS = 10


@torch.no_grad()
def draw_baseline(saved: SavedBaseline, path: str | Path, seed: int = 0) -> Path:
    """Draw what a baseline makes, as titled mosaics in two columns.

    Parameters
    ----------
    saved
        From `read_baseline`, in evaluation mode.
    path
        PNG file; an existing file is replaced.
    seed
        Of the samples.

    Raises
    ------
    OutputError
        If `path` cannot be written.
    """
    found = baseline_mosaics(saved, seed)
    gap, head, edge = 0.25, 0.3, 0.12
    width = (WIDTH - 2 * edge - gap) / 2
    heights = [width * images.shape[0] / images.shape[1] for images in found.values()]
    tops = [0.0, 0.0]
    spots = []
    for height in heights:
        side = 0 if tops[0] <= tops[1] else 1
        spots.append((edge + side * (width + gap), tops[side] + head))
        tops[side] += head + height + 0.05
    with house_style():
        figure = new_figure(WIDTH, max(tops) + edge)
        for (title, images), height, (left, top) in zip(found.items(), heights, spots, strict=True):
            write(figure, left, top - 0.08, title, va="baseline", weight="bold")
            axes = place(figure, left, top, width, height, label=title)
            axes.imshow(mosaic(images), cmap="gray", vmin=0, vmax=255, origin="upper")
            axes.set_axis_off()
    return save(figure, path)


@torch.no_grad()
def baseline_mosaics(saved: SavedBaseline, seed: int = 0) -> dict[str, Tensor]:
    """The images that are drawn, by title: `(rows, ACROSS, c, size, size)` uint8."""
    model, generator = saved.model, torch.Generator().manual_seed(seed)

    def made(codes: Tensor) -> Tensor:
        return unsigned(model.decode(codes)).cpu().view(-1, ACROSS, model.channels, model.size, model.size)

    found = {"samples of the prior": made(model.prior(6 * ACROSS, generator))}
    shown = saved.examples[:ACROSS].to(model.device)
    if model.encoder is not None and len(shown) == ACROSS:
        codes = model.encode(signed(shown))
        found["held-out images and their reconstructions"] = torch.cat([shown.cpu()[None], made(codes)])
        ends, between = codes, "interpolations between codes of held-out images"
    else:
        ends, between = model.prior(ACROSS, generator), "interpolations between samples of the prior"
    if model.classes:
        style = torch.randn(ACROSS, 1, model.style, generator=generator).expand(-1, model.classes, -1).flatten(0, 1)
        label = one_hot(torch.arange(model.classes), model.classes).float().repeat(ACROSS, 1)
        rows = made(torch.cat([label, style], 1).to(model.device))
        found["columns: classes; rows: random styles"] = rows[:6]
    shares = torch.linspace(0, 1, ACROSS, device=model.device)[:, None]
    ways = [torch.lerp(ends[i], ends[i + 1], shares) for i in range(0, 6, 2)]
    found[between] = made(torch.cat(ways))
    return found


def draw_restored(restored: RestoredDigits, path: str | Path) -> Path:
    """Draw held-out digits as restored by every method, their scores, and decoded prior samples for every match."""
    rows: list[tuple[str, str, Tensor]] = []
    for name, images in restored.images.items():
        found = restored.scores.get(name)
        text = "" if found is None else f"NCC {found['ncc']:.2f}\nFSC {found['fsc_obs']:.2f} {found['fsc_mw']:.2f}"
        rows.append((f"match {name}" if name in restored.samples else name, text, images[:ACROSS]))
    rows += [(f"prior, {name}", "decoded samples", images[:ACROSS]) for name, images in restored.samples.items()]
    left, cell = 1.75, (WIDTH - 1.8) / ACROSS
    height = cell + 0.04
    with house_style():
        figure = new_figure(WIDTH, 0.35 + len(rows) * height)
        write(figure, 0.1, 0.1, "FSC: outside and inside the wedge, up to half the Nyquist frequency", color=FAINT)
        for i, (title, text, images) in enumerate(rows):
            top = 0.35 + i * height
            write(figure, 0.1, top + 0.1, title, weight="bold")
            write(figure, 0.1, top + 0.3, text, size=8, color=FAINT)
            sheet = torch.cat(list(images[:, 0].float().cpu()), 1).numpy()
            axes = place(figure, left, top, cell * len(images), cell, label=title)
            axes.imshow(sheet, cmap="gray", vmin=-1.5, vmax=4.0, origin="upper")
            axes.set_axis_off()
    return save(figure, path)


def mosaic(images: Tensor) -> Mosaic:
    """`(rows, columns, c, size, size)` uint8 side by side with white lines between: `(y, x)`, or `(y, x, 3)`."""
    rows, columns, channels, size, _ = images.shape
    lined = pad(images, (0, 1, 0, 1), value=255).permute(0, 3, 1, 4, 2)
    sheet: Mosaic = lined.reshape(rows * (size + 1), columns * (size + 1), channels)[:-1, :-1].numpy()
    return sheet[..., 0] if channels == 1 else sheet
