"""Scores of one case, for volumes whose scores are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryowae.benchmark.cases import Case, make_case, specifications
from cryowae.benchmark.score_files import COLUMNS
from cryowae.benchmark.volume_scores import score_case
from cryowae.config import SuiteConfig
from cryowae.metrics import whole_boxes

CROWDED = {"name": "crowded", "shape": [48, 96, 96], "molecules": {"procedural": 3, "occupancy": 0.08, "equal": True}}
EMPTY = {"name": "empty", "shape": [40, 64, 64], "beads": 1, "ice": 0.1, "bead_diameter": 60}


def case_of(scene: dict[str, object]) -> Case:
    suite = {"name": "one", "methods": ["input"], "scenes": [scene | {"snrs": [0.5]}], "seeds": [1]}
    return make_case(specifications(SuiteConfig.model_validate(suite))[0])


@pytest.fixture(scope="module")
def crowded() -> Case:
    return case_of(CROWDED)


@pytest.fixture(scope="module")
def empty() -> Case:
    return case_of(EMPTY | {"molecules": {"procedural": 0}})


def with_balls(volume: np.ndarray, centres: list[tuple[int, int, int]], contrast: float) -> np.ndarray:
    z, y, x = np.indices(volume.shape)
    result = volume.copy()
    for a, b, c in centres:
        result[(z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2 <= 9] += contrast  # 123 voxels
    return result


def test_the_truth_has_perfect_scores_and_its_negative_has_not(crowded):
    nothing = np.zeros_like(crowded.truth)
    right = score_case(crowded, crowded.truth, nothing, 8).scores
    for name in ("ncc", "fsc_mw", "fsc_obs", "r_mw", "ssim", "particle"):
        assert right[name] == pytest.approx(1, abs=1e-5)
    assert right["found"] > 0.95 and abs(right.get("elongation", 1) - 1) < 0.15
    assert (right["blobs"], right["noise_std"], right["noise_ratio"]) == (0, 0, 0)
    wrong = score_case(crowded, -crowded.truth, nothing, 8).scores
    assert wrong["ncc"] == pytest.approx(-1) and wrong["particle"] == pytest.approx(-1)
    assert wrong["found"] < 0.5 and np.isnan(wrong["blobs"])


def test_invented_structure_does_not_depend_on_the_scale_of_a_method(crowded):
    twin = with_balls(np.zeros_like(crowded.truth), [(20, 20, 20), (24, 50, 60)], 0.8)
    ours = score_case(crowded, crowded.truth, twin, 8).scores
    scaled = score_case(crowded, 40 * crowded.truth - 3, 40 * twin + 9, 8).scores
    assert ours["blobs"] == 2 and ours["blob_voxels"] == 2 * 123
    for name in ("blobs", "blob_voxels", "noise_ratio", "found"):
        assert scaled[name] == pytest.approx(ours[name], rel=1e-4)


def test_blobs_in_ice_count_where_there_are_no_particles(empty):
    (bead,) = empty.specimen.beads
    far = [
        c
        for c in [(20, 15, 15), (20, 15, 48), (20, 48, 15), (20, 48, 48)]
        if np.hypot(*np.subtract(c, bead.centre)[1:]) > 20
    ]
    assert len(far) >= 2
    scores = score_case(empty, with_balls(empty.truth, far, 0.5), None, 4).scores
    assert scores["ice_blobs"] == len(far) and scores["ice_blob_voxels"] == 123 * len(far)
    assert score_case(empty, empty.truth, None, 4).scores["ice_blobs"] == 0  # the bead is there
    assert score_case(empty, with_balls(empty.truth, far, 0.3), None, 4).scores["ice_blobs"] == 0  # too faint


def test_positions_without_a_whole_box_are_left_out():
    positions = np.array([[8.0, 20, 20], [10, 20, 20], [6, 20, 20], [20, 33, 20], [20, 20, 5]])
    kept = whole_boxes(positions, 16, (40, 40, 40))
    np.testing.assert_array_equal(kept, positions[[0, 1]])


def test_the_metrics_page_lists_all_columns():
    page = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")
    ]
    listed = {
        name: (heading, best if best in ("high", "low") else float(best))
        for headings, names, best, *_ in (row for row in rows if len(row) == 4 and row[1].startswith("`"))
        for heading, name in zip(headings.split(", "), names.replace("`", "").split(", "), strict=True)
    }
    assert listed == {name: (column.heading, column.best) for name, column in COLUMNS.items()}
    assert list(listed) == list(COLUMNS)
