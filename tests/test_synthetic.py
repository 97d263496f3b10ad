"""Simulated pairs: the content of a batch, which depends only on the seed and the step; training scenes."""

import numpy as np
import pytest
import torch
import yaml
from torch.testing import assert_close

from cryowae.config import DataConfig, load_scene
from cryowae.data import SyntheticPairs, _spread
from cryowae.data.scene_draws import draw_scene, training_scene
from cryowae.errors import ConfigError
from cryowae.specimen.builder import build_specimen, observe_specimen
from cryowae.specimen.library import load_library
from cryowae.specimen.procedural import procedural_structure
from cryowae.tomogram.statistics import robust_statistics

TINY = DataConfig(
    scene=(24, 32, 32), crop=16, batch=4, pool=2, crops_per_scene=4, workers=0, membranes=0.0, filaments=0.0
)


@pytest.fixture(scope="module")
def scene():
    return training_scene(TINY.model_copy(update={"plain": 1.0, "occupancy": (0.1, 0.1)}), 0, 0, [])


def test_a_scene_has_signal_where_there_is_structure(scene):
    truth, signal = scene.truth.float(), scene.signal.float()
    assert truth.shape == signal.shape == (24, 32, 32)
    assert scene.noise.shape == (2, 24, 32, 32)
    assert torch.corrcoef(torch.stack([truth.ravel(), signal.ravel()]))[0, 1] > 0.5
    assert (scene.tilt_min, scene.tilt_max) == (-60.0, 60.0)


def test_scenes_follow_from_seed_and_number(scene):
    config = TINY.model_copy(update={"plain": 1.0, "occupancy": (0.1, 0.1)})
    assert_close(training_scene(config, 0, 0, []).noise, scene.noise, rtol=0, atol=0)
    assert not torch.equal(training_scene(config, 0, 1, []).truth, scene.truth)


def test_a_training_scene_can_be_saved_and_made_again(tmp_path):
    """The drawn configuration, saved as YAML and read by `simulate scene`, gives the same volumes."""
    config = TINY.model_copy(update={"plain": 0.0, "beads": 0.5, "ice": 0.5, "vesicles": 0.5, "membranes": 0.5})
    for index in range(3):
        drawn = draw_scene(config, 3, index)
        (tmp_path / "drawn.yaml").write_text(yaml.safe_dump(drawn.model_dump(mode="json")))
        read = load_scene(tmp_path / "drawn.yaml")
        assert read == drawn
        again = build_specimen(read)
        expected = training_scene(config, 3, index, [])
        assert torch.equal(again.density.half(), expected.truth)
        assert torch.equal(observe_specimen(again, read).noise.half(), expected.noise)


def test_training_scenes_draw_from_the_named_structures():
    config = TINY.model_copy(update={"structures": ("a.mrc", "b.mrc"), "procedural": 0.0, "plain": 1.0})
    drawn = [draw_scene(config, 0, index).molecules for index in range(4)]
    assert all(sorted(one.library) == ["a.mrc", "b.mrc"] and one.procedural == 0 for one in drawn)
    library = [procedural_structure(np.random.default_rng(i), 10.0, "small") for i in (1, 2)]
    scene = training_scene(config, 0, 0, library)
    assert float(scene.truth.max()) > 0.5


def test_a_batch_is_standardised_and_its_halves_share_only_the_signal():
    config = TINY.model_copy(update={"snr": (0.5, 0.5), "empty": 0.0, "plain": 1.0, "batch": 16, "crops_per_scene": 16})
    with SyntheticPairs(config, 0) as pairs:
        batch = pairs.batch(0)
    assert batch.observation.shape == batch.other.shape == batch.truth.shape == (16, 1, 16, 16, 16)
    assert 0.6 < float(batch.observation.std()) < 1.5
    assert float(batch.truth.min()) > -1.0
    first, second, truth = (v.ravel() for v in (batch.observation, batch.other, batch.truth))
    assert torch.corrcoef(torch.stack([first, second]))[0, 1] < 0.9
    assert (
        torch.corrcoef(torch.stack([first + second, truth]))[0, 1] > torch.corrcoef(torch.stack([first, truth]))[0, 1]
    )
    assert float(batch.scale.min()) > config.faint


def test_empty_samples_have_no_truth_and_no_signal():
    config = TINY.model_copy(update={"empty": 1.0, "snr": (0.05, 0.05)})
    with SyntheticPairs(config, 0) as pairs:
        batch = pairs.batch(0)
    assert float(batch.truth.abs().max()) == 0
    assert 0.5 < float(batch.observation.std()) < 2


def test_half_turns_reverse_the_tilts_of_their_samples():
    config = TINY.model_copy(update={"tilts": (-40.0, 60.0, 4.0), "plain": 1.0, "batch": 24, "crops_per_scene": 24})
    with SyntheticPairs(config, 0) as pairs:
        tilts = set(pairs.batch(0).tilts)
    assert tilts == {(-40.0, 60.0), (-60.0, 40.0)}


def test_a_step_depends_only_on_seed_and_number():
    with SyntheticPairs(TINY, 3) as pairs:
        straight = [pairs.batch(step) for step in range(6)]
    with SyntheticPairs(TINY, 3) as again:
        late = again.batch(5)
    assert_close(late.observation, straight[5].observation, rtol=0, atol=0)
    assert_close(late.truth, straight[5].truth, rtol=0, atol=0)
    with SyntheticPairs(TINY, 4) as other:
        assert not torch.equal(other.batch(5).truth, late.truth)
    with SyntheticPairs(TINY, 3, rank=1) as colleague:
        assert not torch.equal(colleague.batch(5).truth, late.truth)


@pytest.mark.slow
def test_background_processes_make_the_same_scenes():
    with SyntheticPairs(TINY, 3) as here, SyntheticPairs(TINY.model_copy(update={"workers": 1}), 3) as there:
        for step in range(3):
            assert_close(there.batch(step).observation, here.batch(step).observation, rtol=0, atol=1e-3)


def test_missing_data_and_files_are_errors(monkeypatch, tmp_path):
    monkeypatch.delenv("CRYOWAE_DATA", raising=False)
    with pytest.raises(ConfigError, match=r"no structure 'a\.mrc' .* CRYOWAE_DATA, which is not set"):
        load_library(["a.mrc"])
    monkeypatch.setenv("CRYOWAE_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match=r"no structure 'a\.mrc'"):
        load_library(["a.mrc"])
    assert load_library([]) == []
    with pytest.raises(ConfigError, match=r"'a\.mrc' and 1 more .* --set 'data\.structures=\[\]'"):
        SyntheticPairs(TINY.model_copy(update={"structures": ("a.mrc", "b.mrc")}), 1)


def test_real_structures_are_on_one_scale(data_folder):
    names = [
        "densities/polnet_10A/4v4r.mrc.gz",
        "densities/polnet_membrane/8yf0_mbz_align_shift.mrc.gz@8",
        "models/1tub.pdb.gz",
    ]
    ribosome, protein, tubulin = load_library(names)
    assert protein.voxel_size == 8
    for structure in (ribosome, protein, tubulin):
        values = structure.resampled(10.0).density.numpy()
        assert 0.5 < float(np.mean(values[values > 0.5])) < 1.8


@pytest.mark.gpu
def test_cuda_makes_the_same_scene_as_the_cpu():
    """Specimen and reconstruction are the same; the noise is different, with the same strength."""
    here, there = (training_scene(TINY, 0, 0, [], device) for device in ("cpu", "cuda"))
    for name in ("truth", "signal"):
        one, two = (getattr(scene, name).float().cpu() for scene in (here, there))
        assert_close(two, one, atol=2e-2 * float(one.std()), rtol=0)
    assert float(there.noise.float().std()) == pytest.approx(float(here.noise.float().std()), rel=0.05)
    with SyntheticPairs(TINY, 0, "cuda") as pairs:
        assert pairs.batch(0).observation.is_cuda


def test_the_ctf_changes_the_signal_and_not_the_truth():
    """Phase contrast suppresses low frequencies: the mean density almost disappears from the tomogram."""
    coarse = []
    for share in (0.0, 1.0):
        config = TINY.model_copy(update={"plain": 0.0, "ctf": share, "voxel_sizes": (10.0, 10.0)})
        scenes = [training_scene(config, 3, i, []) for i in range(4)]
        spectra = [torch.fft.rfftn(s.signal.float() / s.signal.float().std()).abs().square() for s in scenes]
        coarse.append(float(torch.stack([s[:2, :2, :2].sum() / s.sum() for s in spectra]).mean()))
        truths = torch.stack([s.truth.float() for s in scenes])
        assert torch.isfinite(truths).all() and float(truths.max()) > 0.5
    assert coarse[1] < 0.5 * coarse[0]


BARE = TINY.model_copy(
    update={"plain": 0.0, "vacant": 1.0, "ctf": 0.0, "voxel_sizes": (10.0, 10.0), "scene": (32, 48, 48)}
)


def test_the_standard_deviation_is_that_of_restoration_also_with_gold():
    config = TINY.model_copy(update={"plain": 0.0, "beads": 1.0, "ctf": 0.0, "scene": (48, 64, 64), "snr": (0.2, 0.2)})
    scene = training_scene(config, 1, 0, [])
    tomogram = scene.thin[0] + scene.contrast / 0.2**0.5 * scene.thin[1]
    expected = robust_statistics(tomogram.view(16, 22, 22).numpy()).sigma
    assert_close(_spread(tomogram[None]), torch.tensor([expected], dtype=torch.float32), rtol=1e-5, atol=0)


def test_an_empty_scene_is_noise_and_its_truth_is_in_units_of_the_noise():
    scene = training_scene(BARE, 0, 0, [])
    assert float(scene.truth.abs().max()) == float(scene.signal.abs().max()) == 0 and scene.contrast == 1
    with SyntheticPairs(BARE, 0) as pairs:
        batch = pairs.batch(0)
    assert float(batch.observation.std()) == pytest.approx(1, abs=0.2)
    assert float(batch.scale.max()) == pytest.approx(BARE.faint, abs=0.01)


def test_uneven_ice_is_in_the_signal_and_not_in_the_truth():
    scene = training_scene(BARE.model_copy(update={"ice": 1.0}), 0, 0, [])
    assert float(scene.truth.abs().max()) == 0 < float(scene.signal.float().std())


def test_beads_are_three_times_as_dense_as_protein_in_the_truth_and_do_not_set_the_scale():
    scenes = [training_scene(BARE.model_copy(update={"beads": 1.0}), 0, i, []) for i in range(1, 4)]
    assert max(float(scene.truth.max()) for scene in scenes) == pytest.approx(3, abs=0.2)
    assert all(scene.truth_std == 0 for scene in scenes)
    brightest = max(float(scene.signal.max()) / float(scene.signal.float().std()) for scene in scenes)
    assert brightest > 6


def test_vesicles_are_closed_membranes_in_plain_scenes_too():
    config = BARE.model_copy(update={"plain": 1.0, "vesicles": 1.0, "scene": (64, 64, 64), "crop": 16})
    truths = [training_scene(config, 0, i, []).truth.float() for i in range(2)]
    assert all(float(truth.max()) > 0.6 for truth in truths)
    centre = [truth[tuple(slice(8, -8) for _ in range(3))] for truth in truths]
    assert all(float((part > 0.3).float().mean()) < 0.3 for part in centre)  # shells, not balls
