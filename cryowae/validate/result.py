"""The result of a validation, and its files: all figures as JSON, and a picture."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cryowae.config.evidence_options import ValidateOptions
from cryowae.errors import OutputError
from cryowae.io.mrc import stem_of
from cryowae.io.outputs import check_output, make_folder, write_text
from cryowae.models.weights import RestorationModel
from cryowae.progress import Outcome
from cryowae.report.validation import ValidationFacts, draw_validation
from cryowae.validate.evidence import Evidence


@dataclass(frozen=True, kw_only=True)
class ValidateResult(Outcome):
    """Files and figures of a validation.

    Attributes
    ----------
    table, picture
        The JSON file with all figures, and the PNG.
    kind
        `tilts` or `halves`.
    question
        What was tested.
    evidence
        The agreements and controls.
    voxel_size
        Angstrom, of the tomogram.
    units
        Names of the images that were left out, by their listed angle, or of the blocks.
    kept
        Listed angles of the images that were used.
    limits
        What was not tested, one line each.
    """

    table: Path
    picture: Path
    kind: Literal["tilts", "halves"]
    question: str
    evidence: Evidence
    voxel_size: float
    units: tuple[str, ...]
    kept: tuple[float, ...]
    limits: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Finding:
    """What was found, before it is written; attributes as in `ValidateResult`.

    Attributes
    ----------
    how
        The options.
    notes
        Messages for the user about the input, one line each.
    """

    kind: Literal["tilts", "halves"]
    question: str
    how: ValidateOptions
    evidence: Evidence
    voxel_size: float
    units: tuple[str, ...]
    kept: tuple[float, ...]
    limits: tuple[str, ...]
    notes: tuple[str, ...]

    def write(
        self, files: tuple[Path, Path], name: str, network: RestorationModel, inputs: Sequence[Path], started: float
    ) -> ValidateResult:
        """Write the JSON file and the picture.

        Parameters
        ----------
        files
            The two files, see `evidence_outputs`.
        name
            Name of the data, for the picture.
        network, inputs
            The weights, and the files that were read.
        started
            Value of `time.monotonic` at the start.
        """
        evidence = self.evidence
        warnings = [line for control in evidence.controls if (line := control.warning())]
        notes = (*self.notes, *evidence.notes, *warnings)
        settings = {key: str(v) if isinstance(v, Path) else v for key, v in asdict(self.how).items()}
        values = {
            "kind": self.kind,
            "question": self.question,
            "inputs": [str(path) for path in inputs],
            "model": {"name": network.name, "sha256": network.sha256},
            "settings": settings,
            "voxel_size": self.voxel_size,
            "units": list(self.units),
            "angles_kept" if self.kind == "tilts" else "tilts": list(self.kept),
            **evidence.as_values(),
            "not_tested": list(self.limits),
            "notes": list(notes),
        }
        text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        facts = ValidationFacts(name, self.question, self.voxel_size, self.kind, self.units, network.name)
        draw_validation(
            files[1],
            evidence.agreements,
            facts,
            ceiling=evidence.ceiling_curve,
            images=evidence.example,
            shown=evidence.example_unit,
        )
        write_text(files[0], text)
        return ValidateResult(
            table=files[0],
            picture=files[1],
            kind=self.kind,
            question=self.question,
            evidence=evidence,
            voxel_size=self.voxel_size,
            units=self.units,
            kept=self.kept,
            limits=self.limits,
            notes=notes,
            seconds=time.monotonic() - started,
        )


def evidence_outputs(
    source: Path, output: str | Path | None, overwrite: bool, inputs: Sequence[Path]
) -> tuple[Path, Path]:
    """The JSON file and the picture, checked before the work.

    Parameters
    ----------
    source
        The data; the default name is `NAME_validation` beside it.
    output
        A folder, which is made if it does not exist, or the name of one of the files.
    overwrite, inputs
        As for `check_output`.

    Raises
    ------
    OutputError
        If one of them cannot be written.
    """
    name = f"{stem_of(source)}_validation"
    base = source.with_name(name)
    if output is not None:
        given = Path(output)
        if given.suffix.lower() in (".json", ".png") and not given.is_dir():
            base = given.with_suffix("")
        elif given.suffix and not given.is_dir():
            raise OutputError(
                f"{given} is no name for a JSON file or a picture; expected a folder, NAME.json or NAME.png"
            )
        else:
            base = make_folder(given) / name
    files = base.with_name(f"{base.name}.json"), base.with_name(f"{base.name}.png")
    for path in files:
        check_output(path, overwrite=overwrite, inputs=inputs)
    return files
