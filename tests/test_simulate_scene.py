"""Simulated scenes: the files describe the specimen, and the specimen does not depend on the microscope."""

import hashlib
import sys
from collections import Counter
from dataclasses import replace

import mrcfile
import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from cryowae.cli import app
from cryowae.config import SceneConfig, load_scene
from cryowae.errors import ConfigError, OutputError, TomogramError
from cryowae.simulate.scene_files import simulate_scene
from cryowae.specimen.builder import build_specimen, observe_specimen
from cryowae.specimen.canvas import BEAD, MEMBRANE
from cryowae.specimen.library import load_library
from cryowae.specimen.surroundings import uneven_ice

MOLECULES = {"procedural": 3, "occupancy": 0.08, "jitter": 0.2}
SMALL = SceneConfig.model_validate(
    {
        "name": "small",
        "seed": 3,
        "shape": (48, 64, 72),
        "voxel_size": 12.0,
        "thickness": 480.0,
        "beyond": 1.5,
        "molecules": MOLECULES,
        "vesicles": 1,
        "beads": 2,
        "ice": 0.05,
        "imaging": {"tilts": (-60, 60, 6), "snr": 0.2, "defocus": 4.0, "dose": 3.0},
        "reconstruction": {"ctf": "phase-flip"},
    }
)


def changed(**values):
    return SceneConfig.model_validate(SMALL.model_dump() | values)


def distances(shape, centre):
    return np.linalg.norm(np.stack(np.indices(shape), -1) - np.array(centre), axis=-1)


@pytest.fixture(scope="module")
def specimen():
    return build_specimen(SMALL)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return simulate_scene(SMALL, tmp_path_factory.mktemp("scene"))


def hashes(made):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made.paths}


def test_a_vesicle_is_a_closed_shell_of_two_leaflets_at_its_radius():
    alone = build_specimen(changed(molecules={"procedural": 0}, beads=0, ice=0, voxel_size=6.0, shape=(72, 80, 80)))
    (vesicle,) = alone.vesicles
    density = alone.density.numpy()
    inner = np.array(density.shape) - 1 - np.array(vesicle.centre)
    assert min(*vesicle.centre, *inner) > vesicle.radius + 30 / 6
    directions = Rotation.random(300, random_state=0).as_matrix()[:, 0]
    offsets = np.arange(-40, 41.0)  # angstrom from the middle of the membrane
    rays = directions[:, None] * (vesicle.radius + offsets / 6)[:, None] + np.array(vesicle.centre)
    lines = ndimage.map_coordinates(density, np.moveaxis(rays, -1, 0), order=3)
    profile = lines.mean(0)
    outer, inner_leaflet = (profile * (offsets > 0)).argmax(), (profile * (offsets < 0)).argmax()
    assert offsets[outer] - offsets[inner_leaflet] == pytest.approx(39, abs=5)
    assert offsets[outer] + offsets[inner_leaflet] == pytest.approx(0, abs=3)
    assert (lines[:, outer] > 0.5 * profile[outer]).all()  # no hole in any direction
    far = np.abs(distances(density.shape, vesicle.centre) - vesicle.radius) * 6 > 60
    assert np.abs(density[far]).max() < 1e-3
    assert set(np.unique(alone.labels)) == {0, MEMBRANE}


def test_beads_are_balls_of_gold_without_overlap(specimen):
    assert len(specimen.beads) == 2
    density, labels = specimen.density.numpy(), specimen.labels.numpy()
    for bead in specimen.beads:
        assert bead.radius == pytest.approx(50 / 12)
        distance = distances(density.shape, bead.centre)
        inside, shell = distance < bead.radius - 1.5, (distance > bead.radius + 1) & (distance < bead.radius + 2)
        # its edge is blurred by half a voxel
        assert density[inside] == pytest.approx(9.0, abs=0.3)
        assert (labels[distance < bead.radius] == BEAD).all()
        assert density[shell].mean() < 0.5
        ball = 4 / 3 * np.pi * bead.radius**3
        assert (labels[distance < bead.radius + 2] == BEAD).sum() == pytest.approx(
            ball * (1 + 1.5 / bead.radius), rel=0.1
        )


def test_a_bead_stays_solid_out_of_focus_and_does_not_count_as_signal(specimen):
    seen, bare = observe_specimen(specimen, SMALL), observe_specimen(replace(specimen, gold=None), SMALL)
    assert seen.contrast == bare.contrast
    assert torch.equal(seen.noise, bare.noise)
    gold = (seen.signal - bare.signal).numpy()
    for bead in specimen.beads:
        distance = distances(gold.shape, bead.centre)
        rim = gold[np.abs(distance - bead.radius + 1) < 0.5].max()
        assert gold[distance < 2].min() > 0.2 * rim > 0
        assert rim > 5 * bare.signal.std()


def test_without_ctf_gold_adds_its_density_to_the_projections(specimen):
    plain = changed(imaging={"tilts": (-60, 60, 6)}, reconstruction={})
    whole = replace(specimen, beam=specimen.beam + specimen.gold, gold=None)
    together, apart = observe_specimen(whole, plain), observe_specimen(specimen, plain)
    assert float((together.signal - apart.signal).abs().max()) < 1e-3 * float(together.signal.abs().max())


def test_labels_particles_and_star_describe_the_same_molecules(files, specimen):
    starfile = pytest.importorskip("starfile", reason="reads the table")
    table = starfile.read(files.paths.particles)["particles"]
    truth, labels = -mrcfile.read(files.paths.truth), mrcfile.read(files.paths.labels)
    assert labels.dtype == np.int16
    assert len(table) == len(specimen.particles) > 10
    assert Counter(table["cryowaeName"]) == files.counts
    names = list(specimen.kinds)
    for row in table.to_dict("records"):
        kind = specimen.kinds[row["cryowaeName"]].density.numpy()
        assert names[row["rlnClassNumber"] - 1] == row["cryowaeName"]
        angles = [row["rlnAngle" + name] for name in ("Rot", "Tilt", "Psi")]
        to_tomogram = Rotation.from_euler("ZYZ", angles, degrees=True).inv()
        where = np.argwhere(labels == row["cryowaeLabel"])
        offset = where[:, ::-1] - [row["rlnCoordinate" + axis] for axis in "XYZ"]
        source = to_tomogram.inv().apply(offset)[:, ::-1] + (len(kind) - 1) / 2
        expected = ndimage.map_coordinates(kind, source.T, order=1)
        found = truth[tuple(where.T)]
        assert len(where) > 8
        assert np.corrcoef(expected, found)[0, 1] > 0.9
        assert (found @ expected) / (expected @ expected) == pytest.approx(row["cryowaeAmplitude"], rel=0.1)


def test_equal_numbers_are_equal():
    options = {"procedural": 4, "occupancy": 0.15, "equal": True}
    counts = Counter(p.name for p in build_specimen(changed(beyond=1.0, molecules=options)).particles)
    assert len(counts) == 4
    assert len(set(counts.values())) == 1
    few = Counter(p.name for p in build_specimen(changed(beyond=1.0, molecules=options | {"most": 9})).particles)
    assert set(few.values()) == {2}


def test_equal_numbers_stay_equal_where_room_is_short():
    options = {"procedural": 3, "occupancy": 0.5, "equal": True}
    made = build_specimen(changed(beyond=1.0, shape=(40, 40, 40), molecules=options, vesicles=0, beads=0))
    counts = Counter(p.name for p in made.particles)
    assert len(counts) == 3
    assert len(set(counts.values())) == 1
    assert sorted(p.label for p in made.particles) == list(range(1, len(made.particles) + 1))
    assert set(np.unique(made.labels)) == set(range(len(made.particles) + 1))


def test_the_specimen_does_not_depend_on_the_microscope(specimen):
    other = changed(imaging={"tilts": (-42, 50, 2), "snr": 0.01, "growth": 1.0}, reconstruction={"filter": "ramp"})
    again = build_specimen(other)
    assert torch.equal(again.density, specimen.density)
    assert torch.equal(again.beam, specimen.beam)
    assert torch.equal(again.labels, specimen.labels)
    assert not torch.equal(build_specimen(changed(seed=4)).density, specimen.density)


def test_the_specimen_is_a_slab_that_continues_beyond_the_box(specimen):
    assert specimen.density.shape == SMALL.shape
    assert specimen.beam.shape == (48, 64, 108)
    for volume in (specimen.beam, specimen.density, specimen.labels):  # 480 angstrom are 40 of 48 voxels
        assert not volume[:4].any() and not volume[-4:].any()
        assert volume[4:-4].any()
    outside = specimen.beam[:, :, :18]
    assert float(outside.max()) > 0.8
    assert all(0 <= round(c) < n for p in specimen.particles for c, n in zip(p.centre, SMALL.shape, strict=True))
    inside = specimen.beam[:, :, 18:90] + specimen.gold[:, :, 18:90]
    assert float((inside - specimen.density).abs().max()) < 0.4  # only ice


def test_a_slab_lies_at_its_configured_depth_and_spheres_may_leave_the_box():
    options = {"procedural": 0, "occupancy": 0.0}
    moved = build_specimen(changed(above=0.0, molecules=options, vesicles=0, beads=0, ice=0.1))
    assert moved.beam[:40].any() and not moved.beam[40:].any()
    many = changed(beads=40, bead_diameter=60.0, vesicles=0, molecules=options)
    within = build_specimen(many)
    anywhere = build_specimen(many.model_copy(update={"spheres_within": "specimen", "bead_truth": 3.0}))
    assert all(0 < bead.centre[2] < 71 for bead in within.beads)
    assert any(bead.centre[2] < 0 for bead in anywhere.beads) and any(bead.centre[2] > 71 for bead in anywhere.beads)
    assert float(within.density.max()) == pytest.approx(9, abs=0.1)
    assert float(anywhere.density.max()) == pytest.approx(3, abs=0.1)
    assert float(anywhere.gold.max()) == pytest.approx(9, abs=0.1)


def test_uneven_ice_is_of_low_frequency_and_not_in_the_truth(specimen):
    flat = build_specimen(changed(ice=0))
    assert torch.equal(flat.density, specimen.density)
    ice = (specimen.beam - flat.beam)[4:-4]
    assert float(ice.std()) == pytest.approx(0.05, rel=0.01)
    assert float(ice.mean()) == pytest.approx(0, abs=1e-4)


def test_ice_has_almost_no_waves_shorter_than_250_angstrom():
    ice = uneven_ice((64, 128, 128), 10.0, 1.0, np.random.default_rng(0)).numpy()
    window = np.hanning(64)[:, None, None] * np.hanning(128)[:, None] * np.hanning(128)
    power = np.abs(np.fft.fftn(ice * window)) ** 2
    k = np.linalg.norm(np.stack(np.meshgrid(*(np.fft.fftfreq(n, 10.0) for n in ice.shape), indexing="ij")), axis=0)
    assert power[k > 1 / 250].sum() < 0.01 * power.sum()
    assert power[k < 1 / 500].sum() > 0.5 * power.sum()


def test_halves_average_to_the_tomogram_and_protein_is_dark(files):
    volumes = {name: mrcfile.read(getattr(files.paths, name)) for name in ("truth", "tomogram", "half1", "half2")}
    mean = (volumes["half1"] + volumes["half2"]) / 2
    assert np.abs(mean - volumes["tomogram"]).max() < 1e-4 * volumes["tomogram"].std()
    assert not np.array_equal(volumes["half1"], volumes["half2"])
    labels = mrcfile.read(files.paths.labels)
    for name in ("truth", "tomogram"):
        assert volumes[name][labels > 0].mean() < volumes[name][labels == 0].mean()
    with mrcfile.open(files.paths.tomogram) as mrc:
        assert float(mrc.voxel_size.x) == pytest.approx(12)
    angles = np.loadtxt(files.paths.angles)
    assert np.array_equal(angles, np.arange(-60, 61, 6))
    assert files.paths.picture.read_bytes()[:4] == b"\x89PNG"


def test_the_same_configuration_gives_the_same_bytes(files, tmp_path):
    again = simulate_scene(load_scene(files.paths.config), tmp_path / "again")
    assert hashes(again) == hashes(files)
    other = hashes(simulate_scene(changed(seed=4), tmp_path / "other"))
    same = {name for name, value in hashes(files).items() if other[name] == value}
    assert same == {"small.tlt"}


def test_an_empty_scene_gives_only_noise_and_snr_0_only_signal(tmp_path):
    empty = changed(
        molecules={"procedural": 0}, vesicles=0, beads=0, ice=0, imaging={"tilts": (-60, 60, 6), "snr": 0.25}
    )
    made = simulate_scene(empty, tmp_path)
    assert not mrcfile.read(made.paths.truth).any()
    seen = observe_specimen(build_specimen(empty), empty)
    assert float(seen.tomogram(0.25).std()) == pytest.approx(2 * float(seen.noise[0].std()), rel=0.05)
    assert made.counts == {}
    clean = simulate_scene(changed(name="clean", imaging={"tilts": (-60, 60, 6), "snr": 0}), tmp_path)
    assert np.array_equal(mrcfile.read(clean.paths.tomogram), mrcfile.read(clean.paths.half1))


def test_objects_without_room_are_reported(tmp_path):
    thin = changed(thickness=200.0, molecules={"procedural": 0}, imaging={"tilts": (-60, 60, 20)})
    made = simulate_scene(thin, tmp_path)
    assert made.notes == ("0 of 1 vesicles found room",)


def test_structures_are_files_of_the_user_or_below_the_data_folder(tmp_path, monkeypatch):
    grid = distances((24, 24, 24), (11.5, 11.5, 11.5))
    for name in ("mine.mrc", "data/theirs.mrc"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        with mrcfile.new(path, data=(grid < 6).astype(np.float32)) as mrc:
            mrc.voxel_size = 5.0
    monkeypatch.delenv("CRYOWAE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("mine.mrc", str(tmp_path / "mine.mrc")):
        (ball,) = load_library([name])
        assert (ball.name, ball.voxel_size) == ("mine", 5.0)
    assert load_library(["mine.mrc@8"])[0].voxel_size == 8
    with pytest.raises(ConfigError, match="CRYOWAE_DATA, which is not set"):
        load_library(["theirs.mrc"])
    monkeypatch.setenv("CRYOWAE_DATA", str(tmp_path / "data"))
    twice = build_specimen(changed(molecules={"procedural": 0, "library": ["theirs.mrc", "mine.mrc", "mine.mrc"]}))
    assert list(twice.kinds) == ["theirs", "mine-1", "mine-2"]
    assert {p.name for p in twice.particles} == set(twice.kinds)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("/nowhere/a.mrc", None, ConfigError, "no structure '/nowhere/a.mrc'"),
        ("a.mrc", b"no map", TomogramError, "cannot be read"),
        ("a.pdb", b"END\n", TomogramError, "without atoms"),
        ("a.mrc@-3", b"", ConfigError, "voxel size in angstrom after @"),
    ],
)
def test_structures_that_cannot_be_loaded_are_errors(tmp_path, monkeypatch, name, content, error, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name.partition("@")[0]).write_bytes(content)
    with pytest.raises(error, match=message):
        load_library([name])


def test_a_missing_gemmi_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "a.pdb").write_text("END\n")
    monkeypatch.setitem(sys.modules, "gemmi", None)
    with pytest.raises(ConfigError, match=r"cryowae\[simulate\]"):
        load_library([str(tmp_path / "a.pdb")])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shape": (8, 64, 64)}, "at least 16 voxels"),
        ({"imaging": {"defocus": 30_000}}, "is the unit right"),
    ],
)
def test_impossible_scenes_leave_no_files(tmp_path, values, message):
    with pytest.raises(ConfigError, match=message):
        simulate_scene(changed(vesicles=0, beads=0, molecules={"procedural": 0}, **values), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"imaging": {"mtf": "absent.csv"}}, "absent.csv cannot be read"),
        ({"imaging": {"dose": 3.0, "voltage": 120}}, "120 kV"),
        ({"imaging": {"defocus": 30_000}}, "is the unit right"),
        ({"shape": (100, 40_000, 40_000)}, "GB of memory"),
        ({"shape": (8, 64, 64)}, "at least 16 voxels"),
    ],
)
def test_impossible_scenes_are_refused_before_the_work_starts(tmp_path, monkeypatch, values, message):
    monkeypatch.setattr("cryowae.simulate.scene_files.build_specimen", lambda *_: pytest.fail("the work began"))
    with pytest.raises((ConfigError, TomogramError), match=message):
        simulate_scene(changed(**values), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_kept(files):
    before = hashes(files)
    with pytest.raises(OutputError, match="exists already"):
        simulate_scene(SMALL, files.paths.truth.parent)
    assert hashes(files) == before


def test_the_command(tmp_path):
    line = ["simulate", "scene", "crowded", "--set", "shape=[24, 48, 48]", "--seed", "7", "--output", str(tmp_path)]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "crowded_particles.star") in done.output
    assert load_scene(tmp_path / "crowded.yaml").seed == 7
    assert len(list(tmp_path.iterdir())) == 9
    again = CliRunner().invoke(app, line)
    assert again.exit_code == 2
    assert "--overwrite" in again.output
    assert CliRunner().invoke(app, [*line, "--overwrite"]).exit_code == 0
    unknown = CliRunner().invoke(app, ["simulate", "scene", "nosuch", "--output", str(tmp_path)])
    assert unknown.exit_code == 2
    assert "cell, crowded" in unknown.output


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crowded", "cell"])
def test_shipped_scenes_contain_what_they_configure(name, tmp_path):
    config = load_scene(name)
    made = simulate_scene(config, tmp_path)
    assert made.notes == ()
    assert sum(made.counts.values()) > 100
    labels = mrcfile.read(made.paths.labels)
    wanted = {-1: config.membranes + config.vesicles, -2: config.filaments, -3: config.beads}
    assert all((labels == label).any() == (count > 0) for label, count in wanted.items())
    assert 0.5 * config.molecules.occupancy < (labels > 0).mean() < 2 * config.molecules.occupancy


def test_a_scene_of_real_structures(data_folder):
    library = ["densities/polnet_10A/4v4r.mrc.gz", "models/1tub.pdb.gz"]
    molecules = {"procedural": 0, "library": library, "equal": True, "occupancy": 0.08}
    made = build_specimen(changed(beyond=1.0, molecules=molecules, vesicles=0))
    assert set(made.kinds) == {"4v4r", "1tub"}
    assert made.kinds["4v4r"].volume > 10 * made.kinds["1tub"].volume
    counts = Counter(p.name for p in made.particles)
    assert counts["4v4r"] == counts["1tub"] > 1
