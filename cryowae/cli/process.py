"""`cryowae restore | reconstruct | info | view | demo`: processing of real data, and a demonstration."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cryowae.cli.commands import Folder
from cryowae.cli.terminal import MENDABLE, complain, mendable, print_results, progress
from cryowae.config.options import FitOptions, ItemOptions, ReconstructOptions, RestoreOptions, TomogramOptions
from cryowae.config.scene import ReconstructionConfig, Weighting
from cryowae.errors import ConfigError, CryowaeError
from cryowae.progress import Progress

if TYPE_CHECKING:
    from cryowae.tomogram import Item

_SIZE = (1400, 900)  # pixels of a window that is large enough for two volumes and a dock


def restore(
    tomograms: Annotated[list[Path], typer.Argument(metavar="TOMO")],
    item: ItemOptions,
    options: RestoreOptions,
    model: str = "default",
    fit: Annotated[float | None, typer.Option(metavar="MINUTES")] = None,
    output: Annotated[Path | None, typer.Option(metavar="PATH")] = None,
    skip_existing: bool = False,
) -> None:
    """Denoise tomograms and fill their missing wedge.

    Exits with 0 if all were restored, with 1 if some failed and with 2 if all failed.
    A picture that cannot be drawn is no failure: a note says so.

    Parameters
    ----------
    tomograms
        Reconstructed tomograms, MRC.
    model
        Shipped weights by name, or a .safetensors file.
    fit
        First adapt the weights to each tomogram for that long, as `cryowae fit` does; they are written beside it.
    output
        File to write, or a folder for several; by default NAME_restored.mrc beside TOMO.
    skip_existing
        Leave out tomograms whose result exists, and results among TOMO: to go on with a folder.
    """
    if skip_existing and options.overwrite:
        raise ConfigError("got --skip-existing and --overwrite; expected one of them")
    from cryowae.models.weights import load_model
    from cryowae.restore.planned import check_batch, check_restoration, unfinished
    from cryowae.restore.tomograms import restore_tomogram
    from cryowae.tomogram import items_of

    items = items_of(tomograms, output, item)
    if skip_existing:
        items, left_out = unfinished(items, options)
        print_results(*(("skipped", line) for line in left_out))
    check_batch(items, options)
    if not items:
        return
    network = load_model(model, options.device, random=options.drawn > 0)
    how = None if fit is None else FitOptions(minutes=fit, device=options.device, overwrite=options.overwrite)
    failures = 0
    for one in items:
        try:
            with progress() as shown:
                if how is not None:
                    check_restoration(one, options)
                    network = load_model(_fitted(one, model, how, shown), options.device)
                result = restore_tomogram(one, model=network, options=options, progress=shown)
        except (CryowaeError, OSError) as error:
            complain(mendable(error))
            failures += 1
            continue
        print_results(
            ("restored", result.path),
            *(("half", path) for path in result.halves),
            *(("deviation" if path.stem.endswith("_std") else "sample", path) for path in result.samples),
            ("inferred", result.inferred),
            *(("picture", path) for path in result.pictures),
            ("voxel size", f"{result.voxel_size:g} Å"),
            ("tilts", f"{result.tilt_min:+g} to {result.tilt_max:+g} degrees, {result.tilt_source}"),
            ("protein", f"{result.contrast} ({result.contrast_figure})"),
            ("in wedge", f"{result.inferred_share:.1%} of the power: inferred, nothing was measured there"),
            ("the rest", f"denoised, correlation {result.measured_correlation:.3f} with the input"),
            ("time", f"{result.seconds:.1f} s, {result.network_voxels_per_voxel:.2f} network voxels per voxel"),
            notes=result.notes,
        )
    if failures:
        raise typer.Exit(MENDABLE if failures == len(items) else 1)


def _fitted(item: Item, model: str, how: FitOptions, shown: Progress) -> Path:
    """Weights that are adapted to a tomogram, beside its output."""
    from cryowae.fit import fit_weights
    from cryowae.io.mrc import stem_of

    path = item.target.with_name(f"{stem_of(item.tomogram.path)}_fit.safetensors")
    result = fit_weights([item], path, how, model=model, progress=shown)
    change = f"{result.before:.3f} -> {result.after:.3f}"
    print_results(("weights", result.path), ("score", f"{change} on held-out data"), ("picture", result.picture))
    return result.path


def reconstruct(
    series: Path,
    options: ReconstructOptions,
    tilts: Path | None = None,
    filter: Weighting | None = None,
    sirt: Annotated[int | None, typer.Option(min=1)] = None,
    falloff: Annotated[float | None, typer.Option(metavar="F")] = None,
    output: Path | None = None,
) -> None:
    """Reconstruct a tilt series, real or simulated, by weighted back-projection.

    Alignments are those of IMOD (.xf), AreTomo (.aln) and Warp (.xml).
    A series without one must be aligned.
    --tilts is not needed if ALIGN has the angles.
    --voxel-size is that of the raw pixels, --thickness counts binned voxels.

    --filter exact is right for uneven tilts too; sirt imitates SIRT.
    --falloff is the frequency at which the low-pass has fallen to exp(-1/2).
    --halves writes NAME_EVN.mrc and NAME_ODD.mrc.

    Parameters
    ----------
    series
        Tilt series, MRC: one section a tilt.
    tilts
        Tilt angles, one for each section.
    filter
        Weights of the projections; hann by default.
    sirt
        Iterations for sirt; 15 by default.
    falloff
        Low-pass, cycles per voxel; no low-pass by default.
    output
        By default SERIES_rec.mrc beside SERIES.
    """
    if sirt is not None and filter not in (None, "sirt"):
        raise ConfigError(f"got --sirt {sirt} with --filter {filter}; expected --filter sirt")
    if falloff is not None and not falloff > 0:
        raise ConfigError(f"got --falloff {falloff:g}; expected a positive frequency, for example 0.25")
    from cryowae.reconstruct import reconstruct_series

    config = ReconstructionConfig(filter=filter or ("sirt" if sirt else "hann"), sirt=sirt or 15, falloff=falloff)
    with progress() as shown:
        result = reconstruct_series(series, tilts, output, options, config=config, progress=shown)
    size, angles = " x ".join(map(str, result.shape[::-1])), result.angles
    print_results(
        ("tomogram", result.path),
        *(("half", path) for path in result.halves),
        ("angles", result.tilts),
        ("size", f"{size} voxels (x, y, z) of {result.voxel_size:g} Å"),
        ("tilts", f"{len(angles)} from {angles[0]:+g} to {angles[-1]:+g} degrees"),
        ("filter", config.filter),
        ("time", f"{result.seconds:.1f} s"),
        notes=result.notes,
    )


def info(file: Path, opening: TomogramOptions) -> None:
    """Describe a tomogram: header, angles, wedge, contrast, and whether its spectrum agrees with them.

    Parameters
    ----------
    file
        A reconstructed tomogram, MRC.
    """
    from cryowae.info import inspect_tomogram

    print_results(*inspect_tomogram(file, opening).lines())


def view(
    files: Annotated[list[Path], typer.Argument(metavar="FILE")],
    opening: TomogramOptions,
    show: Literal["slices", "volume", "plane"] = "slices",  # not --display: Qt has an option of that name
    contrast: Literal["dark", "bright"] = "dark",
) -> None:
    """Look at volumes in napari.

    For a single file X.mrc, the files X_restored.mrc and X_truth.mrc are opened too, side by side and linked.

    Parameters
    ----------
    files
        MRC volumes.
    show
        slices; 3-D, the densest voxel along each ray; 3-D, a plane to drag.
    contrast
        Is protein dark or bright in the files?
    """
    try:
        import napari
        from qtpy.QtCore import QTimer  # napari itself does not report a missing Qt binding

        require_display()
        viewer = napari.Viewer(title="cryowae", show=False)
    except ImportError as error:  # napari or a Qt binding is missing
        raise ConfigError(
            f"napari cannot be started ({str(error).splitlines()[0]}): install it and a Qt binding, for example "
            "pip install 'cryowae[napari]' pyqt6"
        ) from None
    from cryowae._napari.viewing import show_files

    print_results(notes=show_files(viewer, files, show=show, contrast=contrast, **vars(opening)))
    if len(viewer.layers) > 1:
        viewer.window.add_plugin_dock_widget("cryowae", "Compare")
    viewer.show()
    give_room(viewer.window)
    QTimer.singleShot(500, viewer.reset_view)  # once the window and its docks have their sizes
    napari.run()


def demo(
    output: Folder = Path("demo"), model: str = "default", seed: int = 1, device: str = "auto", overwrite: bool = False
) -> None:
    """Simulate a crowded scene, restore it and score the result; fails unless the result is better than the input.

    Parameters
    ----------
    output
        Folder for the files.
    seed
        Seed of the scene and its noise.
    """
    from cryowae.demo import run_demo

    with progress() as shown:
        result = run_demo(output, model=model, seed=seed, device=device, overwrite=overwrite, progress=shown)
    paths = (result.tomogram, result.truth, result.restored, result.picture)
    print_results(result.table, *paths, f"{result.seconds:.0f} s")
    if not result.passed:
        complain("the restored scene is no better than the input: the weights or the installation are broken")
        raise typer.Exit(1)


def give_room(window: Any) -> None:
    """Make a window large enough to compare volumes in, and no larger than its screen."""
    from qtpy.QtCore import QPoint
    from qtpy.QtGui import QGuiApplication

    left, top, width, height = window.geometry()
    screen = QGuiApplication.screenAt(QPoint(left, top)) or QGuiApplication.primaryScreen()
    room = screen.availableGeometry()
    size = min(max(width, _SIZE[0]), room.width()), min(max(height, _SIZE[1]), room.height())
    if size != (width, height):
        window.resize(*size)


def require_display() -> None:
    """Raise `ConfigError` where a window cannot be shown: Qt would end the program without a helpful message."""
    known = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in known):
        raise ConfigError("no display found (DISPLAY is not set): use a machine with a screen, ssh -X, or xvfb-run")
