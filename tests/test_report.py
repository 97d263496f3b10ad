"""Pictures: complete, with correct grey values and lengths, and they read only the voxels that they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from cryowae.errors import OutputError, TomogramError
from cryowae.report import (
    FscCurve,
    RestorationFacts,
    SheetEntry,
    compare_spectra,
    draw_contact_sheet,
    draw_fsc_curves,
    draw_halves_fsc,
    draw_restoration,
    draw_training_curves,
    draw_wedge,
)
from cryowae.report.correlations import SAME_NETWORK, central_fsc, fsc_figure, halves_figure
from cryowae.report.overview import restoration_figure, wedge_figure
from cryowae.report.sheets import contact_sheet_figure
from cryowae.report.slices import central_slices, comparison_greys, round_length
from cryowae.report.spectra import line_ends, wedge_regions
from cryowae.report.style import DPI
from cryowae.report.training_curves import training_figure

SOURCE = "41 angles in /somewhere/else/tomo.tlt"
FACTS = RestorationFacts(10.0, -50.0, 60.0, tilt_source=SOURCE, contrast="dark", model="default", seconds=83.0)
SHAPES = [(16, 40, 48), (3, 50, 40), (12, 20, 120), (10, 120, 20), (40, 40, 40), (60, 20, 20), (1, 8, 8)]


def _noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _figure(before: np.ndarray, after: np.ndarray, facts: RestorationFacts = FACTS) -> Figure:
    return restoration_figure(before, after, facts, "a title")


def _panel(figure: Figure, label: str) -> Axes:
    (found,) = [axes for axes in figure.axes if axes.get_label() == label]
    return found


def _words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_picture_of_any_volume_has_the_readme_width_and_square_voxels(shape, tmp_path):
    before = _noise(shape)
    figure = _figure(before, before / 2)
    width, height = figure.get_size_inches()
    assert width == 9.0 and 2.0 < height < 11.0
    for side in ("input", "restored"):
        scales = []
        for name in ("xy", "xz", "yz"):
            axes = _panel(figure, f"{name} {side}")
            box = axes.get_position()
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 1 and box.y1 <= 1
            across, down = axes.get_xlim()[1], axes.get_ylim()[1]
            scales += [box.width * width / across, box.height * height / down]
        np.testing.assert_allclose(scales, scales[0])
    draw_restoration(tmp_path / "picture.png", before, before / 2, FACTS)
    pixels = imread(tmp_path / "picture.png")
    assert pixels.shape[1] == 9 * DPI and pixels.std() > 0.05


@pytest.mark.parametrize("shape", SHAPES)
def test_no_panel_covers_another(shape):
    before = _noise(shape)
    boxes = [axes.get_position() for axes in _figure(before, before).axes]
    for i, one in enumerate(boxes):
        for other in boxes[i + 1 :]:
            apart = one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0
            assert apart


@pytest.mark.parametrize(("gain", "tail"), [(0.3, 10), (0.6, 5), (1.0, 1), (5.0, 1)])
def test_both_sides_have_the_grey_limits_of_the_input(gain, tail):
    before = _noise((16, 40, 48)) * 7 + 100
    after = (100 + gain * (before - 100)).astype(np.float32)
    figure = _figure(before, after)
    shown = np.concatenate([before[8].ravel(), before[:, 20].ravel(), before[:, :, 24].ravel()])
    expected = np.percentile(shown, (tail, 100 - tail))
    for side in ("input", "restored"):
        for name in ("xy", "xz", "yz"):
            np.testing.assert_allclose(_panel(figure, f"{name} {side}").images[0].get_clim(), expected, rtol=1e-5)
    assert f"{tail} to {100 - tail} % of the input, on both sides" in _words(figure)


def test_a_result_with_little_contrast_has_grey_limits_of_its_own():
    before = _noise((16, 40, 48)) * 7 + 100
    after = (100 + 0.1 * (before - 100)).astype(np.float32)
    figure = _figure(before, after)
    spans = [np.ptp(_panel(figure, f"xy {side}").images[0].get_clim()) for side in ("input", "restored")]
    assert spans[1] == pytest.approx(0.1 * spans[0], rel=1e-4)
    assert "1 to 99 % of each side" in _words(figure)


def test_slices_are_the_central_ones_with_the_axes_in_place():
    volume = _noise((6, 8, 10))
    slices = central_slices(volume)
    np.testing.assert_array_equal(slices.xy, volume[3])
    np.testing.assert_array_equal(slices.xz, volume[:, 4])
    np.testing.assert_array_equal(slices.yz, volume[:, :, 5])
    np.testing.assert_array_equal(slices.zy, volume[:, :, 5].T)


def test_a_constant_volume_still_has_grey_limits():
    same = central_slices(np.full((4, 5, 6), 3.0))
    (low, high), _ = comparison_greys(same, same)
    assert low < 3.0 < high


@pytest.mark.parametrize("voxel_size", [2.7, 10.0, 13.48])
def test_the_scale_bar_has_the_length_of_its_label(voxel_size):
    before = _noise((16, 40, 48))
    facts = RestorationFacts(voxel_size, -60.0, 60.0)
    axes = _panel(_figure(before, before, facts), "xy restored")
    (bar,) = [patch for patch in axes.patches if patch.get_label() == "scale bar"]
    (label,) = [text.get_text() for text in axes.texts if text.get_text().endswith(" nm")]
    assert bar.get_width() * voxel_size / 10 == pytest.approx(float(label.removesuffix(" nm")))
    assert 48 / 10 < bar.get_width() <= 48 * 0.3 + 1e-6


def test_the_scale_bar_is_in_a_slice_that_has_room_for_it():
    before = _noise((48, 4, 48))
    figure = _figure(before, before, RestorationFacts(10.0, -60.0, 60.0))
    bars = {
        name: [p for p in _panel(figure, f"{name} input").patches if p.get_label() == "scale bar"]
        for name in ("xy", "xz")
    }
    assert bars["xy"] == [] and len(bars["xz"]) == 1


@pytest.mark.parametrize(("most", "expected"), [(1.0, 1.0), (0.5, 0.5), (1.9, 1.0), (4.99, 2.0), (73, 50), (999, 500)])
def test_lengths_are_round(most, expected):
    assert round_length(most) == pytest.approx(expected)


def test_the_lines_follow_the_sign_of_the_wedge():
    # a plane wave along (kz, kx) = k (sin 30, cos 30) lies at kz = +tan(30) kx
    z, _, x = np.meshgrid(*[np.arange(n) - n // 2 for n in (64, 4, 64)], indexing="ij")
    k = 0.25
    wave = np.cos(2 * np.pi * k * (z * np.sin(np.pi / 6) + x * np.cos(np.pi / 6))).astype(np.float32)
    comparison = compare_spectra(wave, wave, 20.0, 40.0)
    peaks = np.argwhere(comparison.before > comparison.before.max() / 2) - 32
    kz, kx = peaks[peaks[:, 1] > 0].mean(axis=0) / 64
    assert kz / kx == pytest.approx(np.tan(np.pi / 6), abs=0.05)
    assert comparison.measured_correlation == pytest.approx(1.0, abs=1e-5)
    assert comparison.inferred_share < 0.01
    assert compare_spectra(wave, wave, -40.0, -20.0).inferred_share > 0.99

    figure = _figure(wave, wave, RestorationFacts(10.0, -20.0, 30.0))
    lines = {line.get_label(): line for line in _panel(figure, "spectrum input").lines}
    ends = lines["tilt 30"].get_xydata()
    assert [text.get_text() for text in _panel(figure, "spectrum input").texts] == ["log scale, 5 decades"]
    assert (ends[1, 1] - ends[0, 1]) / (ends[1, 0] - ends[0, 0]) == pytest.approx(np.tan(np.pi / 6))
    drawn = _panel(figure, "spectrum input").images[0]
    left, right, bottom, top = drawn.get_extent()
    row, column = np.argwhere(drawn.get_array() == drawn.get_array().max())[0]
    rows, columns = drawn.get_array().shape
    at = (left + (column + 0.5) * (right - left) / columns, bottom + (row + 0.5) * (top - bottom) / rows)
    assert at[1] / at[0] == pytest.approx(np.tan(np.pi / 6), abs=0.08)


@pytest.mark.parametrize("tilt", [-90.0, -60.0, -45.0, 0.0, 30.0, 75.0])
def test_lines_end_on_the_edge_of_the_spectrum(tilt):
    kx, kz = line_ends(tilt)
    assert max(abs(kx), abs(kz)) == pytest.approx(0.5)
    assert kz * np.cos(np.deg2rad(tilt)) == pytest.approx(kx * np.sin(np.deg2rad(tilt)), abs=1e-12)


def test_the_inferred_share_of_white_noise_is_about_the_share_of_the_wedge():
    noise = _noise((64, 64, 64))
    whole = compare_spectra(noise, noise, -60.0, 60.0)
    _, inferred = wedge_regions((64, 64), -60.0, 60.0)
    assert whole.inferred_share == pytest.approx(inferred.mean(), rel=0.05)
    assert compare_spectra(noise, _noise((64, 64, 64), 1), -60.0, 60.0).measured_correlation == pytest.approx(
        0, abs=0.02
    )
    assert compare_spectra(noise, -noise, -60.0, 60.0).measured_correlation == pytest.approx(-1, abs=1e-5)


def test_share_and_correlation_do_not_depend_on_the_mean():
    noise = _noise((32, 16, 32))
    one, other = (compare_spectra(noise + c, 2 * noise + c, -60.0, 60.0) for c in (0.0, 1000.0))
    assert one.inferred_share == pytest.approx(other.inferred_share, rel=1e-2)
    assert one.measured_correlation == pytest.approx(other.measured_correlation, abs=1e-3)


class Recorded:
    """A volume of zeros that counts the voxels that are read, and refuses to be read as a whole."""

    ndim, dtype = 3, np.dtype(np.float32)

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape, self.read = shape, 0

    def __getitem__(self, key: object) -> np.ndarray:
        part = np.broadcast_to(np.float32(0), self.shape)[key]
        self.read += part.size
        return part

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise AssertionError("the whole volume was read")


def test_a_large_volume_is_read_in_part(tmp_path):
    before, after = (Recorded((150, 1100, 800)) for _ in range(2))
    draw_restoration(tmp_path / "picture.png", before, after, FACTS)
    for volume in (before, after):
        assert 0 < volume.read < 0.05 * np.prod(volume.shape)
    assert max(central_slices(before).xy.shape) <= 1024


def test_half_precision_is_computed_in_single(tmp_path):
    volume = (_noise((8, 24, 24)) * 1e4).astype(np.float16)
    draw_restoration(tmp_path / "picture.png", volume, volume, FACTS)
    comparison = compare_spectra(volume, volume, FACTS.tilt_min, FACTS.tilt_max)
    assert comparison.measured_correlation == pytest.approx(1.0, abs=1e-5)


def test_the_text_states_the_facts():
    before = _noise((16, 40, 48))
    words = _words(_figure(before, before))
    parts = ("-50° to +60°", "41 angles in tomo.tlt", "dark", "default", "83 s", "48 x 40 x 16", "10 Å", "a title")
    for part in parts:
        assert part in words


def test_an_output_that_cannot_be_written_is_an_error_of_one_line(tmp_path):
    volume = _noise((8, 16, 16))
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match=r"picture .* cannot be written"):
        draw_restoration(tmp_path / "file" / "picture.png", volume, volume, FACTS)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_fsc_of_halves(tmp_path):
    signal, a, b = (_noise((48, 48, 48), seed) for seed in range(3))
    np.testing.assert_allclose(central_fsc(signal, 3 * signal + 5).correlation[1:], 1, atol=1e-4)
    draw_halves_fsc(tmp_path / "fsc.png", signal + a, signal + b, voxel_size=10, restored=(signal, signal))
    assert imread(tmp_path / "fsc.png").std() > 0.01
    (axes,) = halves_figure(signal + a, signal + b, 10.0, restored=(signal, signal)).axes
    half, same = (line for line in axes.lines if len(line.get_xdata()) > 2)
    np.testing.assert_allclose(same.get_ydata(), 1, atol=1e-4)
    frequency = half.get_xdata()
    assert frequency[0] > 0 and frequency[-1] < 0.5
    assert half.get_ydata()[4:].mean() == pytest.approx(0.5, abs=0.05)
    assert axes.get_ylabel() == "Fourier shell correlation" and "resolution (Å)" in axes.get_xlabel()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["halves of the input", SAME_NETWORK]
    assert "not a resolution" in SAME_NETWORK
    with pytest.raises(TomogramError, match="expected two of one shape"):
        halves_figure(signal, a[:-1], 10.0)


def test_training_curves_draw_the_columns_of_the_log(tmp_path):
    table = tmp_path / "log.csv"
    rows = ["step,lr,loss,supervised,match_2,match_4,seconds,null95_2"]
    rows += [
        f"{20 * i},0.001,{2 / i},{1 / i},{0.3 / i - 0.01},{0.1 / i},0.3,{0.02 if i % 5 == 0 else ''}"
        for i in range(1, 121)
    ]
    table.write_text("\n".join(rows) + "\n")
    assert draw_training_curves(table, tmp_path / "curves.png").stat().st_size > 10_000
    log = {name: np.genfromtxt(table, delimiter=",", names=True)[name] for name in rows[0].split(",")}
    figure = training_figure(log)
    assert [axes.get_label() for axes in figure.axes] == ["losses", "match 2", "match 4"]
    assert _panel(figure, "losses").get_yscale() == "log"
    labels = [text.get_text() for text in _panel(figure, "match 2").get_legend().get_texts()]
    assert labels == ["codes and prior", "95 % quantile if matched"]


@pytest.mark.parametrize(
    "text", ["step,loss\n20,0.5\n", "step,match_8\n20,-0.001\n", "step,loss,fidelity\n1,,\n2,-1,x\n"]
)
def test_training_curves_of_short_logs(text, tmp_path):
    (tmp_path / "log.csv").write_text(text)
    assert draw_training_curves(tmp_path / "log.csv", tmp_path / "curves.png").exists()


def test_a_curve_of_one_point_has_a_marker():
    (line,) = training_figure({"step": np.array([20.0]), "loss": np.array([0.5])}).axes[0].lines
    assert line.get_marker() == "o"


def test_a_log_without_rows_is_an_error(tmp_path):
    (tmp_path / "log.csv").write_text("step,loss\n")
    with pytest.raises(TomogramError, match="no row"):
        draw_training_curves(tmp_path / "log.csv", tmp_path / "curves.png")


def test_a_contact_sheet_has_one_pair_of_grey_limits_and_the_scores(tmp_path):
    truth = _noise((8, 24, 32))
    entries = [
        SheetEntry("ground truth", truth),
        *(SheetEntry(f"m{i}", truth * i + i, {"NCC": i / 7}) for i in range(1, 7)),
    ]
    figure = contact_sheet_figure(entries, 10.0, "a scene")
    assert len({axes.images[0].get_clim() for axes in figure.axes}) == 1
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), figure.axes[2].images[0].get_array(), atol=1e-5)
    assert "0.857" in _words(figure) and "NCC" in _words(figure)
    boxes = [axes.get_position() for axes in figure.axes]
    assert min(box.y0 for box in boxes) > 0 and max(box.x1 for box in boxes) < 1
    draw_contact_sheet(Path(tmp_path / "sheet.png"), entries, voxel_size=10.0)
    assert imread(tmp_path / "sheet.png").std() > 0.05


def test_a_gold_bead_does_not_reduce_the_contrast_of_the_rest():
    volume = _noise((16, 64, 64))
    beaded = volume.copy()
    beaded[7:10, 31:34, 31:34] = -300
    plain, with_bead = (
        contact_sheet_figure([SheetEntry("truth", v), SheetEntry("b", v)], 10.0).axes[0].images[0]
        for v in (volume, beaded)
    )
    assert with_bead.get_array()[:20].std() == pytest.approx(plain.get_array()[:20].std(), rel=0.05)
    np.testing.assert_allclose(with_bead.get_clim(), plain.get_clim(), rtol=0.15)


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 8])
def test_no_text_of_a_contact_sheet_covers_another(count):
    scores = {"NCC": 0.123, "FSC measured": 0.4}
    entries = [SheetEntry(f"a method with a very long name {i}", _noise((6, 12, 12)), scores) for i in range(count)]
    figure = contact_sheet_figure(entries, 10.0, "a scene")
    drawn = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(drawn) for text in figure.texts if text.get_text()]
    boxes += [axes.get_window_extent(drawn) for axes in figure.axes]
    across, down = figure.bbox.width, figure.bbox.height
    for i, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= across and box.y1 <= down
        for other in boxes[i + 1 :]:
            assert box.x1 <= other.x0 or other.x1 <= box.x0 or box.y1 <= other.y0 or other.y1 <= box.y0


def _curves(count: int) -> list[FscCurve]:
    frequency = np.arange(0.005, 0.5, 0.01)
    falling = np.exp(-frequency * 8)
    kinds = ["input", "floor", *["method"] * (count - 2)]
    regions = ("measured", "missing wedge")
    return [
        FscCurve(
            f"method {i}",
            frequency,
            dict.fromkeys(regions, falling * (i + 1) / count),
            {region: np.full(len(frequency), 0.02) for region in regions} if i > 1 else {},
            kind,
        )
        for i, kind in enumerate(kinds)
    ]


def test_fsc_curves_of_ten_methods_look_different(tmp_path):
    curves = _curves(10)
    figure = fsc_figure(curves, 10.0, "a scene")
    assert [axes.get_label() for axes in figure.axes] == ["measured", "missing wedge"]
    drawn = {line.get_label(): line for line in _panel(figure, "missing wedge").lines if len(line.get_xdata()) > 2}
    assert list(drawn) == [curve.name for curve in curves]
    np.testing.assert_array_equal(drawn["method 4"].get_ydata(), curves[4].mean["missing wedge"])
    assert len({(line.get_color(), str(line.get_linestyle())) for line in drawn.values()}) == 10
    assert drawn["method 1"].get_linewidth() < 1 < drawn["method 2"].get_linewidth()
    bands = _panel(figure, "measured").collections
    assert len(bands) == 8  # of those with a spread
    edges = bands[0].get_paths()[0].vertices[:, 1]
    assert edges.max() - curves[2].mean["measured"].max() == pytest.approx(0.02)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [curve.name for curve in curves]
    assert draw_fsc_curves(tmp_path / "fsc.png", curves, voxel_size=10.0).stat().st_size > 10_000


@pytest.mark.parametrize("voxel_size", [2.5, 10.0])
def test_the_upper_axis_of_fsc_curves_is_in_angstrom(voxel_size):
    axes = _panel(fsc_figure(_curves(3), voxel_size), "measured")
    upper = axes.child_axes[0]
    for place, label in zip(upper.get_xticks(), upper.get_xticklabels(), strict=True):
        assert float(label.get_text().removesuffix(" Å")) == pytest.approx(voxel_size / place, rel=0.02)


def test_a_grid_of_volumes_takes_arrays_and_tensors(tmp_path):
    torch = pytest.importorskip("torch")
    volumes = [torch.from_numpy(_noise((8, 8, 8), i)) for i in range(7)]
    entries = [SheetEntry("sample", volume) for volume in volumes]
    draw_contact_sheet(tmp_path / "grid.png", entries, voxel_size=10.0, normalise=False)
    assert imread(tmp_path / "grid.png").std() > 0.05
    figure = contact_sheet_figure(entries, normalise=False)
    assert len(figure.axes) == 14
    np.testing.assert_array_equal(figure.axes[2].images[0].get_array(), volumes[1][4].numpy())


@pytest.mark.parametrize("shape", [(16, 40, 48), (40, 12, 24), (12, 8, 80)])
def test_the_picture_of_a_wedge_has_both_spectra_on_one_scale_and_the_lines(shape, tmp_path):
    before = _noise(shape)
    figure = wedge_figure(before, 3 * before, (-42.0, 60.0), 10.0, "a title", "a note")
    spectra = [_panel(figure, f"spectrum {name}") for name in ("before", "after")]
    assert spectra[0].images[0].get_clim() == spectra[1].images[0].get_clim()
    brighter = spectra[1].images[0].get_array() - spectra[0].images[0].get_array()
    np.testing.assert_allclose(np.median(np.asarray(brighter)), np.log10(9), atol=1e-3)
    for axes in spectra:
        slopes = [np.diff(line.get_ydata())[0] / np.diff(line.get_xdata())[0] for line in axes.lines]
        np.testing.assert_allclose(slopes, np.tan(np.deg2rad([-42, 60])), rtol=1e-6)
    np.testing.assert_array_equal(_panel(figure, "xz before").images[0].get_array(), before[:, shape[1] // 2])
    assert "a note; left and right" in _words(figure) and "a title" in _words(figure)
    boxes = [axes.get_position() for axes in figure.axes]
    assert min(min(b.x0, b.y0, 1 - b.x1, 1 - b.y1) for b in boxes) > 0
    draw_wedge(tmp_path / "wedge.png", before, before, (-42.0, 60.0), voxel_size=10.0)
    assert imread(tmp_path / "wedge.png").std() > 0.05


def test_the_global_state_of_matplotlib_does_not_change(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    volume = _noise((8, 16, 16))
    draw_restoration(tmp_path / "picture.png", volume, volume, FACTS)
    assert dict(matplotlib.rcParams) == before
