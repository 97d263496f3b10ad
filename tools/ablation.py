"""The queue of small trainings behind docs/ablation.md: each with one feature removed or changed.

    python tools/ablation.py [--output runs/ablation] [--only ARM ...] [--table] [--look TOMOGRAM]

Takes the arms of `configs/ablation.yaml` in turn: trains each, runs the suite `ablation` on it, and adds its rows to
`docs/ablation/results.csv`. An arm that has rows there is done; one that was interrupted is resumed. Anyone
can continue the queue, or add to it. At the end all rows are printed as a table and drawn as `docs/ablation/arms.png`;
`--table` does only this. `--look` restores a tomogram with every arm that was trained in the output folder, and draws
them side by side as `docs/ablation/real.png`. Needs CRYOWAE_DATA; an arm takes 5 to 10 minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml

from cryowae.benchmark.score_files import COLUMNS
from cryowae.benchmark.suite_run import run_suite
from cryowae.config import MethodConfig, TrainConfig, load_config, load_suite
from cryowae.io.mrc import read_mrc
from cryowae.progress import TerminalProgress
from cryowae.report.sheets import SheetEntry, draw_contact_sheet
from cryowae.report.style import SERIES, WIDTH, house_style, new_figure, place, save
from cryowae.restore import RestoreOptions, restore_tomogram
from cryowae.tomogram import open_tomogram
from cryowae.train import train
from cryowae.train.state import read_rows as read_table
from cryowae.train.state import write_rows

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "ablation" / "results.csv"
SCORES = ("ncc", "fsc_mw", "fsc_obs", "noise_ratio", "blobs")
FIELDS = ("arm", "steps", "seconds_per_step", "match", "scene", "snr", "seed", *SCORES)

Row = dict[str, str]


def main() -> None:
    """Train and measure the arms without rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--only", nargs="*", metavar="ARM")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--look", type=Path, metavar="TOMOGRAM", help="restore this tomogram with every arm")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    queue = yaml.safe_load((ROOT / "configs" / "ablation.yaml").read_text())
    unknown = set(args.only or []) - queue["arms"].keys()
    if unknown:
        parser.error(f"got {', '.join(sorted(unknown))}, expected arms of configs/ablation.yaml")
    if args.look:
        look(args.look, [args.output / arm for arm in queue["arms"]], RESULTS.with_name("real.png"), args.device)
        return
    for arm, changes in queue["arms"].items():
        if not args.table and arm in (args.only or queue["arms"]) and arm not in {row["arm"] for row in read_rows()}:
            overrides = [f"name={arm}", *queue["base"], *changes]
            append_rows(run_arm(arm, load_config(queue["config"], overrides), args.output / arm, args.device))
    rows = read_rows()
    print(format_rows(rows))
    if rows:
        draw_rows(rows, RESULTS.with_name("arms.png"))


def run_arm(arm: str, config: TrainConfig, output: Path, device: str) -> list[Row]:
    """Train one arm and measure it; its rows."""
    with TerminalProgress() as progress:
        resume = (output / "last.safetensors").exists()
        weights = train(config, output, resume=resume, device=device, progress=progress)
        method = MethodConfig(name=arm, checkpoint=str(weights), fast=True)
        run_suite(load_suite("ablation").with_methods([method]), output / "suite", progress=progress)
    log = read_table(output / "log.csv")
    pace = sorted(float(row["seconds"]) for row in log)[len(log) // 2]
    match = "/".join(f"{float(log[-1][name]):.3f}" for name in ("match_2", "match_4", "match_8") if log[-1].get(name))
    start = {"arm": arm, "steps": str(config.steps), "seconds_per_step": f"{pace:.2f}", "match": match}
    rows = [row for row in read_table(output / "suite" / "table.csv") if row["method"] == arm]
    return [start | {name: row.get(name, "") for name in FIELDS[len(start) :]} for row in rows]


def look(tomogram: Path, arms: Sequence[Path], picture: Path, device: str) -> None:
    """Draw a tomogram restored by the weights of each arm, in one pass."""
    source = open_tomogram(tomogram)
    entries = [SheetEntry("input", np.asarray(source.data))]
    with tempfile.TemporaryDirectory() as folder, TerminalProgress() as progress:
        for arm in arms:
            weights, output = arm / "weights.safetensors", Path(folder) / f"{arm.name}.mrc"
            if weights.exists():
                options = RestoreOptions(fast=True, report=False, device=device)
                restore_tomogram(source, output, model=weights, options=options, progress=progress)
                entries.append(SheetEntry(arm.name, np.array(read_mrc(output).data)))
    draw_contact_sheet(picture, entries, voxel_size=source.voxel_size, across=4)


def read_rows() -> list[Row]:
    """The results so far."""
    return read_table(RESULTS) if RESULTS.exists() else []


def append_rows(rows: Sequence[Row]) -> None:
    """Add an arm to the results, all of its rows at once."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    write_rows([*read_rows(), *rows], RESULTS)


def format_rows(rows: Sequence[Row]) -> str:
    """A Markdown table: NCC / wedge FSC / measured FSC of every arm and scene, means over the seeds."""
    scenes = list(dict.fromkeys(row["scene"] for row in rows))
    lines = ["| " + " | ".join(["arm", *scenes, "noise ratio"]) + " |", "|" + "---|" * (len(scenes) + 2)]
    for arm in dict.fromkeys(row["arm"] for row in rows):
        mine = [row for row in rows if row["arm"] == arm]
        cells = [" ".join(_mean(mine, name, scene) for name in SCORES[:3]) for scene in scenes]
        lines.append("| " + " | ".join([arm, *cells, _mean(mine, "noise_ratio", scenes[0])]) + " |")
    return "\n".join(lines)


def draw_rows(rows: Sequence[Row], path: Path) -> None:
    """NCC and wedge FSC of every arm, one dot per scene (mean over the seeds), the first arm as lines."""
    arms, scenes = (list(dict.fromkeys(row[name] for row in rows)) for name in ("arm", "scene"))
    titles = {"ncc": "NCC with the truth", "fsc_mw": "mean FSC in the wedge, to half Nyquist"}
    height, width = 0.26 * len(arms) + 0.1, (WIDTH - 1.9) / 2 - 0.2
    with house_style():
        figure = new_figure(WIDTH, height + 1.15)
        for column, (score, title) in enumerate(titles.items()):
            axes = place(figure, 1.7 + column * (width + 0.3), 0.65, width, height, label=score)
            for colour, scene in zip(SERIES, scenes, strict=False):
                mine = [row for row in rows if row["scene"] == scene]
                values = [float(_mean([row for row in mine if row["arm"] == arm], score, scene)) for arm in arms]
                axes.axvline(values[0], color=colour, linewidth=0.6, alpha=0.6)
                axes.plot(values, range(len(arms)), "o", color=colour, markersize=4.5, label=scene)
            axes.set(title=title, ylim=(len(arms) - 0.5, -0.5), yticks=range(len(arms)))
            axes.set_yticklabels(arms if column == 0 else [])
        figure.legend(*axes.get_legend_handles_labels(), loc="upper center", ncols=len(scenes))
    save(figure, path)


def _mean(rows: Sequence[Row], score: str, scene: str) -> str:
    values = [float(row[score]) for row in rows if row["scene"] == scene and row[score]]
    return f"{sum(values) / len(values):.{COLUMNS[score].digits}f}" if values else ""


if __name__ == "__main__":
    main()
