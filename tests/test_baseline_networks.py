"""The 2-D baselines' networks, presets, and training steps."""

from __future__ import annotations

import pytest
import torch

from cryowae.baselines import train_baseline
from cryowae.baselines.model import TRUNKS, Baseline, critic
from cryowae.baselines.objective import (
    BaselineObjective,
    baseline_objective,
    choose_labelled,
    critic_loss,
    draw_labelled,
    gradient_penalty,
    reconstruction_cost,
)
from cryowae.config import baseline_config
from cryowae.data.images import ImageSet
from cryowae.errors import ConfigError, ImagesError
from cryowae.objectives import Batch, StepInfo, cosine
from cryowae.objectives.kl import gaussian_divergence
from cryowae.objectives.mmd import Mmd, block_kernel
from cryowae.objectives.term import Pass

IMAGES = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1
TOLD = ImageSet(
    "mnist-train", torch.arange(100).view(100, 1, 1, 1).expand(-1, -1, 32, 32).byte(), torch.arange(100) % 10
)
MODELS = ("ae", "vae", "wae-mmd", "wae-gan", "aae", "wgan-gp")
CPU = torch.device("cpu")


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize(
    ("data", "model", "count"),
    [
        ("mnist", "vae", 281_377),
        ("mnist", "wae-gan", 255_530),
        ("mnist", "wgan-gp", 9_548_930),
        ("celeba", "vae", 433_507),
        ("celeba", "wae-gan", 28_168_388),
        ("celeba", "wgan-gp", 30_635_908),
    ],
)
def test_networks_have_the_parameters_of_the_reports_table_1(data, model, count):
    with torch.device("meta"):
        network = Baseline(baseline_config(data, model, "fixed"))
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize("data", ["mnist", "celeba"])
@pytest.mark.parametrize("preset", ["faithful", "fixed"])
@pytest.mark.parametrize("model", MODELS)
def test_every_preset_is_read(data, model, preset):
    config = baseline_config(data, model, preset, ["epochs=3", "rate=1e-5"])
    assert (config.data, config.model, config.preset, config.epochs, config.rate) == (data, model, preset, 3, 1e-5)
    assert (config.reduction == "sum") == (preset == "fixed")


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("vae", {"rate": 1e-4, "weight": 1e-3}),
        ("wae-mmd", {"rate": 3e-4, "weight": 1}),
        ("wae-gan", {"rate": 3e-4, "weight": 1, "discriminator_rate": 1e-3}),
        ("wgan-gp", {"rate": 2e-4, "betas": (0.5, 0.9), "critic_steps": 5, "penalty": 10, "one_sided": True}),
    ],
)
def test_faithful_is_the_protocol_of_the_report(model, told):
    common = {"epochs": 100, "batch": 64, "reduction": "mean", "reconstruct": "train", "cosine": False}
    chosen = baseline_config("mnist", model, "faithful").model_dump()
    assert told | common == {name: chosen[name] for name in told | common}


@pytest.mark.parametrize(
    ("model", "overrides", "message"),
    [
        ("gan", [], "expected one of: ae, vae"),
        ("vae", ["labels=100"], "labels are for the model aae"),
        ("aae", ["labels=15"], "multiple of 10"),
        ("vae", ["wait=1"], "wait is not known"),
        ("vae", ["model=ae"], "give it as an option"),
        ("vae", ["betas=[0.5,1.5]"], r"betas\.1: input should be less than 1, got 1.5"),
        ("aae", ["discriminator_betas=[-1,.5]"], "greater than or equal to 0"),
        ("vae", ["seed=9223372036854775807"], "seed: input should be less than or equal to 2147483648"),
    ],
)
def test_invalid_configurations_are_refused(model, overrides, message):
    with pytest.raises(ConfigError, match=message):
        baseline_config("mnist", model, "fixed", overrides)


@pytest.mark.parametrize("preset", ["faithful", "fixed"])
@pytest.mark.parametrize(("model", "labels"), [*((m, 0) for m in MODELS), ("aae", 100)])
def test_every_parameter_is_in_exactly_one_optimiser(model, preset, labels):
    """Except for the decoder's first Linear, which the report did not train, and `faithful` does not train either."""
    made = baseline_objective(baseline_config("mnist", model, preset, [f"labels={labels}"]), CPU)
    optimisers = [part for part in made.parts.values() if isinstance(part, torch.optim.Optimizer)]
    held = [id(p) for o in optimisers for group in o.param_groups for p in group["params"]]
    assert len(held) == len(set(held))
    forgotten = {name for name, p in made.network.named_parameters() if id(p) not in held}
    report = model in ("wae-mmd", "wae-gan", "wgan-gp") and preset == "faithful"
    assert forgotten == ({"decoder.first.weight", "decoder.first.bias"} if report else set())


@pytest.mark.parametrize(("model", "labels"), [*((m, 0) for m in MODELS), ("aae", 100)])
def test_a_step_updates_all_trained_parameters(model, labels):
    config = baseline_config("mnist", model, "fixed", [f"labels={labels}", "critic_steps=1"])
    state = baseline_objective(config, CPU, TOLD if labels else None)
    before = {name: p.detach().clone() for name, p in state.network.named_parameters()}
    values = state.step(Batch(IMAGES), StepInfo(0))
    assert all(torch.isfinite(torch.tensor(v)) for v in values.values())
    # a convolution's bias before batch normalisation has no gradient except rounding errors; Adam updates it too. A
    # constant added to all values of a critic does not change the distance.
    still = {name for name, p in state.network.named_parameters() if torch.equal(p, before[name])}
    assert still == ({"opponents.critic.7.bias"} if model == "wgan-gp" else set())


@pytest.mark.parametrize(
    ("model", "overrides", "theirs"),
    [("wae-gan", ["discriminator_betas=[.3,.7]"], (6e-4, (0.3, 0.7))), ("wgan-gp", [], (2e-3, (0.1, 0.8)))],
)
@pytest.mark.parametrize(("falling", "shares"), [(True, (1, 0.5, 0)), (False, (1, 1, 1))])
def test_learning_rates_of_model_and_opponents(model, overrides, theirs, falling, shares):
    """A cosine schedule is 1/2 in the middle of a run, and 0 at its end. A critic has the generator's rate."""
    common = ["rate=2e-3", "betas=[.1,.8]", "discriminator_rate=6e-4", f"cosine={falling}"]
    made = baseline_objective(baseline_config("mnist", model, "fixed", [*common, *overrides]), CPU)
    groups = {n.split(".")[-1]: p.param_groups[0] for n, p in made.parts.items() if isinstance(p, torch.optim.Adam)}
    for step, share in zip((0, 50, 100), shares, strict=True):
        made.step(Batch(IMAGES[:2]), StepInfo(4, cosine(step, 100) if falling else 1.0))
        for name, (rate, betas) in {"optimiser": (2e-3, (0.1, 0.8)), "opponent": theirs}.items():
            assert groups[name]["lr"] == pytest.approx(rate * share, abs=1e-12)
            assert groups[name]["betas"] == betas


def test_a_run_follows_its_rates(monkeypatch, tmp_path):
    digits = ImageSet("mnist-train", torch.zeros(8, 1, 32, 32, dtype=torch.uint8))
    config = baseline_config("mnist", "ae", "fixed", ["rate=1", "cosine=true", "epochs=2", "batch=4"])
    seen = []

    def watched(objective, batch, info):
        seen.append(info.share)
        return {"reconstruction": 0.0}

    monkeypatch.setattr(BaselineObjective, "step", watched)
    train_baseline(config, digits, tmp_path, device="cpu")
    assert seen == pytest.approx([1, 0.853553, 0.5, 0.146447], rel=1e-5)


def test_the_critic_is_moved_more_often_than_the_generator():
    made = baseline_objective(baseline_config("mnist", "wgan-gp", "fixed", ["critic_steps=3"]), CPU)
    moved = ["generator" in made.step(Batch(IMAGES[:2]), StepInfo(number)) for number in range(3)]
    assert moved == [False, False, True]


def test_the_prior_of_a_code_with_a_class_is_a_class_and_normal_numbers(generator):
    model = Baseline(baseline_config("mnist", "aae", "fixed", ["labels=100"]))
    codes = model.prior(4000, generator)
    assert codes.shape == (4000, 18)
    assert torch.equal(codes[:, :10].sum(1), torch.ones(4000)) and set(codes[:, :10].unique().tolist()) == {0.0, 1.0}
    assert codes[:, 10:].mean().abs() < 0.03 and abs(float(codes[:, 10:].std()) - 1) < 0.03
    with torch.no_grad():
        found = model.eval().encode(torch.zeros(2, 1, 32, 32))
    assert torch.allclose(found[:, :10].sum(1), torch.ones(2))


def test_reductions_differ_by_the_number_of_values(generator):
    a, b = (torch.rand(3, 1, 32, 32, generator=generator) for _ in range(2))
    assert float(reconstruction_cost(a, b, "sum") / reconstruction_cost(a, b, "mean")) == pytest.approx(1024, rel=1e-4)
    ends, made = torch.tensor([[-1.0, -1, 1, 1, 0.5, -0.5]]), torch.tensor([[-1.5, 1.5, 1.2, -1.2, 1.5, -2]])
    assert float(reconstruction_cost(made, ends, "sum")) == pytest.approx(0.25 + 6.25 + 0.04 + 4.84 + 1 + 2.25)
    assert float(reconstruction_cost(made, ends, "sum", clipped=True)) == pytest.approx(6.25 + 4.84 + 1 + 2.25)


def test_labelled_digits_are_shifted_on_black(generator):
    images = torch.zeros(20, 1, 32, 32, dtype=torch.uint8)
    images[:, :, 16, 16] = 255
    told = ImageSet("mnist-train", images, torch.arange(20) % 10)
    seen, labels = draw_labelled(told, 200, 2, generator)
    at = torch.stack(torch.where(seen[:, 0] == 1)[1:])
    assert (seen == -1).sum() == 200 * (32 * 32 - 1) and set(labels.tolist()) == set(range(10))
    assert [sorted(set(axis.tolist())) for axis in at] == [[14, 15, 16, 17, 18]] * 2
    assert (at[0] != at[1]).any()
    still, _ = draw_labelled(told, 5, 0, generator)
    assert (still[:, 0, 16, 16] == 1).all()


def test_labels_are_equally_many_in_each_class(generator):
    digits = ImageSet("digits", torch.zeros(500, 1, 2, 2, dtype=torch.uint8), torch.arange(500) % 10)
    told = choose_labelled(digits, 100, seed=0)
    assert told.labels.bincount().tolist() == [10] * 10
    few = ImageSet("digits", digits.images[:95], digits.labels[:95])
    with pytest.raises(ImagesError, match="expected at most 90 here"):
        choose_labelled(few, 100, seed=0)


@pytest.mark.parametrize("one_sided", [False, True])
def test_the_penalty_of_a_critic_of_unit_slope_is_zero(one_sided, generator):
    """A linear critic `w.x` has the slope |w| everywhere."""
    real, made = torch.randn(2, 5, 7, generator=generator)
    shares = torch.rand(5, generator=generator)
    direction = torch.nn.functional.normalize(torch.randn(7, generator=generator), dim=0)

    def penalty(slope: float) -> float:
        return float(gradient_penalty(lambda x: slope * x @ direction[:, None], real, made, shares, one_sided))

    assert penalty(1.0) == pytest.approx(0, abs=1e-10)
    assert penalty(3.0) == pytest.approx(4.0, rel=1e-5)
    assert penalty(0.5) == pytest.approx(0.0 if one_sided else 0.25, abs=1e-6)


def test_the_penalty_reaches_the_critics_weights(generator):
    network = critic(TRUNKS["mnist", "wgan-gp"])
    images = torch.rand(2, 2, 1, 32, 32, generator=generator)
    gradient_penalty(network, images[0], images[1], torch.tensor([0.2, 0.7])).backward()
    assert float(network[0].weight.grad.abs().sum()) > 0
    assert float(critic_loss(torch.ones(3, 1), torch.zeros(3, 1))) == -1


def test_divergence_of_a_gaussian_against_torch(generator):
    mean, log_variance = torch.randn(2, 6, 3, generator=generator)
    normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0, 1)).sum(1).mean()
    assert float(gaussian_divergence(mean, log_variance)) == pytest.approx(float(expected), rel=1e-5)


def test_gaussian_kernel_against_its_definition(generator):
    a = torch.randn(3, 1, 2, generator=generator)
    kernel = block_kernel(a, scales=(0.5, 2.0), kind="gaussian")
    squares = (a[:, None, 0] - a[None, :, 0]).square().sum(-1)
    expected = torch.exp(-squares / (2 * 2 * 0.5)) + torch.exp(-squares / (2 * 2 * 2.0))
    assert torch.allclose(kernel, expected, atol=1e-5)


@pytest.mark.parametrize("kernel", ["imq", "gaussian"])
def test_mmd_detects_shifted_flat_codes(kernel, generator):
    codes, prior = torch.randn(2, 200, 4, generator=generator)

    def mmd_of_codes(codes: torch.Tensor) -> torch.Tensor:
        made = Pass(Batch(codes), [codes], codes, None, generator, StepInfo(0), drawn_prior=[prior])
        return Mmd(weight=1.0, kernel=kernel).cost(made)[0]

    far, near = mmd_of_codes(codes + 1), mmd_of_codes(codes)
    assert float(far) > 0.1 > 0.05 > abs(float(near))
