"""`Item`: one tomogram to restore, with its input files, its options and its output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from numpy.typing import NDArray

from cryowae.config.options import ItemOptions, TomogramOptions
from cryowae.errors import ConfigError, OutputError, TiltError, TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.io.contents import header_of
from cryowae.io.mrc import SUFFIXES, in_zyx, read_mrc, stem_of
from cryowae.io.neighbours import find_halves, is_name_of
from cryowae.tomogram.claims import Verdict, judge_claim
from cryowae.tomogram.content import Content
from cryowae.tomogram.contrast import ContrastEstimate, estimate_contrast
from cryowae.tomogram.doubts import doubts_of
from cryowae.tomogram.halves import check_halves, matched, require_related, require_voxel_size
from cryowae.tomogram.masks import InclusionMask
from cryowae.tomogram.measured_range import UNKNOWN, MeasuredRange, measure_range
from cryowae.tomogram.opening import Tomogram, open_tomogram
from cryowae.tomogram.volumes import MeanOf, Volume, require_content, require_shape

_FILES = ("half1", "half2", "mask", "tilts")


@dataclass(frozen=True, eq=False)
class Item(ItemOptions):
    """One tomogram to restore. Files are opened when they are first needed, and only once.

    Attributes
    ----------
    source
        The tomogram: a file, or a volume that is open already (then the options of `TomogramOptions` have no effect).
    output
        The file to write. If not given: `NAME_restored.mrc` beside the source.
    open_halves
        Two halves, `(z, y, x)` each, that are open already; used in place of `half1` and `half2`.

    Raises
    ------
    ConfigError
        On construction, for an unknown contrast or a single half.
    """

    source: Path | Tomogram
    output: Path | None = None
    open_halves: tuple[Volume, Volume] | None = None

    @cached_property
    def tomogram(self) -> Tomogram:
        """The open tomogram; its wedge may be unknown. Raises the errors of `open_tomogram`."""
        if isinstance(self.source, Tomogram):
            return self.source
        return open_tomogram(self.source, **vars(self._opening), need_wedge=False)

    @property
    def wedge(self) -> Wedge:
        """The measured region; raises `TiltError` if it is not known, or contradicts the spectrum without `force`."""
        wedge = self.tomogram.require_wedge()
        if self.verdict.kind == "contradicts" and not self.force:
            raise TiltError(f"{self.tomogram.path}: {self.verdict.text}, or --force to go on")
        return wedge

    @cached_property
    def measured(self) -> MeasuredRange:
        """Axes and tilts that the spectrum shows; unknown if voxels are not finite, which other checks report."""
        try:
            return measure_range(self.tomogram.data)
        except TomogramError:
            return UNKNOWN

    @cached_property
    def verdict(self) -> Verdict:
        """How angles and axes agree with the spectrum."""
        tomogram = self.tomogram
        if tomogram.wedge is None:
            return Verdict("unknown", "no angles are known")
        return judge_claim(self.measured, tomogram.wedge, self._opening, tomogram.tilt_source)

    @property
    def warning(self) -> str:
        """What contradicts the spectrum, where `force` goes on; otherwise empty."""
        forced = self.force and self.verdict.kind == "contradicts"
        return f"{self.verdict.text} (ignored, because of --force)" if forced else ""

    @cached_property
    def halves(self) -> tuple[Volume, Volume] | None:
        """The two halves, `(z, y, x)` each, on the scale of the first; raises the errors of `check_halves`."""
        _ = self._halves_notes  # raises the errors
        if not self.unscaled_halves:
            return None
        first, second = self.unscaled_halves
        return matched(first, second, self._half_names)

    @cached_property
    def unscaled_halves(self) -> tuple[Volume, ...]:
        """The two halves as they are in their files, or nothing; raises `TomogramError` for another grid."""
        if self.open_halves is not None:
            first, second = self.open_halves
            return self._checked(first, "half 1"), self._checked(second, "half 2")
        if self.half1 is None or self.half2 is None:
            return ()
        return self._beside(self.half1, same_size=True), self._beside(self.half2, same_size=True)

    @property
    def volume(self) -> Volume:
        """The volume to restore: the mean of the halves if they are given, otherwise the tomogram."""
        return self.tomogram.data if self.halves is None else MeanOf(*self.halves)

    @cached_property
    def content(self) -> Content:
        """The volume to restore without its padding, with its mean and standard deviation."""
        return Content(self.volume, str(self.tomogram.path))

    @cached_property
    def mask_volume(self) -> InclusionMask | None:
        """The mask; raises `TomogramError` if its shape is not that of the tomogram, or it is no mask."""
        return None if self.mask is None else InclusionMask(self._beside(self.mask), str(self.mask))

    @cached_property
    def protein(self) -> Literal["dark", "bright"]:
        """Contrast of the protein, estimated if `contrast` is `auto`; raises `TomogramError` if it is not clear."""
        if self.contrast != "auto":
            return self.contrast
        return self.estimated_contrast.require(str(self.tomogram.path))

    @cached_property
    def estimated_contrast(self) -> ContrastEstimate:
        """Contrast of the protein from the grey values, with the figure that says how sure it is."""
        return estimate_contrast(self.content, self.tomogram.voxel_size)

    @property
    def contrast_figure(self) -> str:
        """What `protein` was decided from."""
        return self.estimated_contrast.figure if self.contrast == "auto" else "as given"

    @property
    def target(self) -> Path:
        """The file to write."""
        path = self.inputs[0]
        return path.with_name(f"{stem_of(path)}_restored.mrc") if self.output is None else Path(self.output)

    @property
    def inputs(self) -> list[Path]:
        """The files that are read."""
        first = self.source.path if isinstance(self.source, Tomogram) else self.source
        return [Path(file) for file in (first, self.half1, self.half2, self.mask) if file is not None]

    @cached_property
    def doubts(self) -> list[str]:
        """Reasons why the volume should not be restored, one line each."""
        if self.half1 is None or self.half2 is None:
            return doubts_of(self.tomogram)
        files = zip((self.half1, self.half2), self.unscaled_halves, strict=True)
        halves = [
            replace(self.tomogram, data=cast(NDArray[Any], data), path=path, header=header_of(path))
            for path, data in files
        ]
        return [why for half in halves for why in doubts_of(half)]

    def require_no_doubts(self) -> None:
        """Raise `TomogramError` if there are doubts, unless `force` goes on."""
        if self.doubts and not self.force:
            raise TomogramError(f"{self.doubts[0]}, or --force to go on")

    @property
    def notes(self) -> list[str]:
        """Messages for the user, one line each."""
        doubt = self.verdict.text if self.verdict.kind == "doubtful" else self.warning
        mask = "" if self.mask_volume is None else self.mask_volume.note
        notes = [*self.tomogram.notes, *self._halves_notes, *(note for note in (mask, doubt) if note)]
        notes += self.doubts if self.force else ()
        beside = None if self.unscaled_halves else find_halves(self.tomogram.path)
        if beside is None:
            return notes
        pair = f"{beside.half1.name} and {beside.half2.name}"
        found = f"{pair} look like its halves and were not used: with --half1 and --half2 their mean is restored"
        return [*notes, found]

    def facts(self) -> dict[str, Any]:
        """The arguments of `restore_array` besides the volume."""
        return {
            "wedge": self.wedge,
            "voxel_size": self.tomogram.voxel_size,
            "contrast": self.protein,
            "halves": self.halves,
            "mask": self.mask_volume,
            "name": str(self.tomogram.path),
        }

    def require_content(self) -> None:
        """Read every input once; raises `TomogramError` if one of them is constant, or has NaN or infinite values."""
        if not self.unscaled_halves:
            require_content(self.tomogram.data, self.tomogram.path)
        for half, name in zip(self.unscaled_halves, self._half_names, strict=False):
            require_content(half, name)
        _ = self.halves, self.mask_volume  # both are checked when they are opened

    @property
    def _half_names(self) -> tuple[str, str]:
        return str(self.half1 or "half 1"), str(self.half2 or "half 2")

    @cached_property
    def _halves_notes(self) -> tuple[str, ...]:
        """Checks the halves, against each other and the tomogram, and has what there is to say."""
        if not self.unscaled_halves:
            return ()
        first, second = self.unscaled_halves
        notes = check_halves(first, second, self.tomogram.wedge, self._half_names)
        if self.open_halves is None and self.tomogram.path not in (self.half1, self.half2):
            name = str(self.tomogram.path)
            notes += require_related(self.tomogram.data, first, self.tomogram.wedge, (name, self._half_names[0]))
        return notes

    @property
    def _opening(self) -> TomogramOptions:
        how = {field.name: getattr(self, field.name) for field in fields(TomogramOptions)}
        if isinstance(self.source, Tomogram):
            how["axes"] = self.source.axes
        return TomogramOptions(**how)

    def _beside(self, path: Path, same_size: bool = False) -> Volume:
        found, tomogram = read_mrc(path, voxel_size=self.tomogram.voxel_size), self.tomogram
        if same_size:
            stated = None if self.voxel_size is None else tomogram.header
            require_voxel_size(found, tomogram.voxel_size, stated, tomogram.path)
        return self._checked(in_zyx(found.data, tomogram.axes), str(path))

    def _checked(self, volume: Volume, name: str) -> Volume:
        return require_shape(volume, self.tomogram.shape, name, self.tomogram.path)


def item_of(source: Item | Tomogram | str | Path, output: str | Path | None = None, **options: Any) -> Item:
    """An item of a file or of an open tomogram; names of files may be strings. An `Item` is returned unchanged.

    Parameters
    ----------
    source, output
        As in `Item`.
    options
        Of `ItemOptions`, by name.
    """
    if isinstance(source, Item):
        return source
    given: dict[str, Any] = {
        name: Path(value) if name in _FILES and value is not None else value for name, value in options.items()
    }
    opened = source if isinstance(source, Tomogram) else Path(source)
    return Item(opened, None if output is None else Path(output), **given)


def items_of(paths: Sequence[Path], output: Path | None, options: ItemOptions) -> list[Item]:
    """The items of a list of files.

    Parameters
    ----------
    paths
        Tomograms.
    output
        The file to write if there is one tomogram, otherwise a folder; None writes beside each tomogram.
    options
        The same for all. With several tomograms, halves and masks are refused, and a file of tilt angles must have a
        name that belongs to each of them.

    Raises
    ------
    ConfigError, TiltError
        If the options do not fit several tomograms.
    OutputError
        If one name of a file is given for several results.
    """
    if len(paths) > 1:
        if options.half1 or options.half2 or options.mask:
            raise ConfigError(f"got {len(paths)} tomograms with --half1, --half2 or --mask: expected one tomogram")
        others = [path for path in paths if options.tilts and not is_name_of(options.tilts, path)]
        if others:
            raise TiltError(
                f"got --tilts {options.tilts} for {len(paths)} tomograms, and {others[0].name} has another name: "
                "expected angles for each; put NAME.tlt beside each NAME.mrc, or give --tilt-range"
            )
    targets: list[Path | None] = [None] * len(paths)
    single = output is not None and output.suffix != "" and not output.is_dir()
    if output is not None and single and len(paths) == 1:
        targets = [output]
    elif output is not None and single and output.suffix.lower() in SUFFIXES:
        raise OutputError(f"got --output {output}, the name of one file, for {len(paths)} tomograms; expected a folder")
    elif output is not None:
        targets = [output / f"{stem_of(path)}_restored.mrc" for path in paths]
    return [Item(path, target, **vars(options)) for path, target in zip(paths, targets, strict=True)]
