"""A whole audit against plain sums over per-sample gradients; a user's own rule, model and data."""

import copy
import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from orderdp_theory import (
    Design,
    estimator_covariance_trace,
    gap,
    pivotal_joint,
    spectrum_deviation,
    surrogate_loss,
)
from orderdp_train.auditing import Audit, Population, audit, supervised, walks
from orderdp_train.auditing.covariance import signs
from orderdp_train.auditing.followed import follow_epoch
from orderdp_train.auditing.population import population_of_images
from orderdp_train.auditing.shared import PROJECTIONS, Shared
from orderdp_train.data import DataSet, load_data
from orderdp_train.models import build_model
from orderdp_train.rules import (
    FullData,
    InfoBatch,
    OrderDP,
    RandomSubset,
    SelectionRule,
    SurveySampling,
    UnbiasedOrderDP,
)
from orderdp_train.training.loop import train
from orderdp_train.training.recipe import Recipe
from tests.auditing.problem import INPUTS, N, small

DESIGN = Design(N, 20, 9)
RATE = 0.05


def stale_scores() -> Tensor:
    return torch.rand(N, generator=torch.Generator().manual_seed(5))


def rules() -> dict[str, SelectionRule]:
    losses = small().losses
    stored, info, unbiased = OrderDP(DESIGN), InfoBatch(N), UnbiasedOrderDP(DESIGN, 3)
    for rule in (stored, info, unbiased):
        rule.update(torch.arange(N), stale_scores())
    return {
        "full": FullData(N),
        "random": RandomSubset(N, 9),
        "stored": stored,
        "fresh": OrderDP(DESIGN, scorer=lambda i: losses[i]),
        "info": info,
        "unbiased": unbiased,
    }


@pytest.fixture(scope="module")
def found() -> Audit:
    problem = small()
    return audit(problem.model, problem.population, rules(), draws=300, batch_size=16)


@pytest.mark.parametrize("name", rules())
def test_bias_and_its_causes(found: Audit, name: str) -> None:
    problem, rule, row = small(), rules()[name], found[name]
    g, losses = problem.gradients, problem.losses
    full = g.mean(0)
    stored, fresh = rule.expected_weights(), rule.expected_weights(losses)
    expected = stored @ g
    norm = float(full.norm())
    assert row.bias == pytest.approx(float((expected - full).norm()) / norm, abs=1e-9)
    assert row.scale == pytest.approx(float(expected.norm()) / norm)
    cosine = float(nn.functional.cosine_similarity(expected, full, dim=0))
    assert row.cosine == pytest.approx(cosine)
    ranking = fresh / fresh.sum() @ g - full
    staleness = (stored / stored.sum() - fresh / fresh.sum()) @ g
    normalisation = (stored - stored / stored.sum()) @ g
    for cause, vector in zip(row.parts, (ranking, staleness, normalisation), strict=True):
        assert row.parts[cause] == pytest.approx(float(vector.norm()) / norm, abs=1e-9)
    torch.testing.assert_close(ranking + staleness + normalisation, expected - full)
    assert row.parts_residual < 1e-12
    layers = expected.split([p.numel() for p in problem.model.parameters()])
    wholes = full.split([p.numel() for p in problem.model.parameters()])
    for layer, mine, whole in zip(row.layers, layers, wholes, strict=True):
        assert layer.bias == pytest.approx(float((mine - whole).norm() / whole.norm()), abs=1e-9)


def test_what_is_known_in_advance(found: Audit) -> None:
    assert found["full"].bias == found["random"].bias == 0
    assert found["unbiased"].bias < 1e-12
    assert found["fresh"].parts["staleness"] == 0
    assert found["stored"].parts["staleness"] > 0.01
    assert found["info"].parts["normalisation"] > 0.1
    assert found["info"].cosine == pytest.approx(1, abs=0.02)
    assert found["stored"].scale_predicted == pytest.approx(DESIGN.s / DESIGN.q)
    # The lowest s - q ranks cannot be selected, and the classes add up.
    assert found["fresh"].unreachable == DESIGN.s - DESIGN.q
    by_class = found["fresh"].unreachable_by_class
    assert by_class is not None
    assert sum(by_class) == found["fresh"].unreachable
    assert not any(row.agreement and row.agreement.alarm for row in found.rules)


@pytest.mark.parametrize("by_walk", [True, False])
def test_the_covariance_of_a_sampling_in_sequence_is_that_of_all_its_pairs(
    by_walk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the n x n joint probabilities; rounding in double precision. Without the walk in its
    sequence, by the mapped pass."""
    if not by_walk:
        monkeypatch.setattr(walks, "_sequences", lambda *_: [])
    problem, rule = small(), SurveySampling(N, 9)
    rule.update(torch.arange(N), stale_scores())
    row = audit(problem.model, problem.population, [rule], draws=0, batch_size=16).rules[0]
    order, pi = rule.scores.argsort(descending=True, stable=True), rule.inclusion_probabilities()
    joint = torch.from_numpy(pivotal_joint(pi[order].numpy()))
    weighted = problem.gradients[order] / (N * pi[order])[:, None]
    trace = float(((joint - torch.outer(pi[order], pi[order])) * (weighted @ weighted.T)).sum())
    norm = float(problem.gradients.mean(0).norm())
    assert row.variance == pytest.approx(trace / norm**2, rel=1e-9)


def test_covariance_and_monte_carlo(found: Audit) -> None:
    problem = small()
    norm = float(problem.gradients.mean(0).norm())
    for name, scores in (("fresh", problem.losses), ("stored", stale_scores())):
        trace = estimator_covariance_trace(problem.gradients.numpy(), scores.numpy(), DESIGN)
        variance = found[name].variance
        assert variance == pytest.approx(trace / norm**2, rel=1e-9)
        layers = sum(
            (layer.variance or 0) * g
            for layer, g in zip(
                found[name].layers,
                [
                    float(p.norm()) ** 2
                    for p in problem.gradients.mean(0).split(
                        [p.numel() for p in problem.model.parameters()]
                    )
                ],
                strict=True,
            )
        )
        assert layers == pytest.approx(trace, rel=1e-9)
    for row in found.rules:
        # The square of the distance is a mean over draws: within a factor that a chi-square
        # with the few effective degrees of freedom here leaves with probability below 1e-4.
        assert row.monte_carlo is not None
        assert row.monte_carlo_expected is not None
        assert row.monte_carlo <= 4 * row.monte_carlo_expected + 1e-6
        assert row.variance is not None
        assert row.monte_carlo_expected == pytest.approx((row.variance / 300) ** 0.5)


def test_the_cost_is_what_was_read(found: Audit) -> None:
    """Losses and a walk for each of two rankings, whatever the weights."""
    problem = small()
    assert found.passes == pytest.approx(3, abs=0.3)
    one = audit(problem.model, problem.population, {"stored": rules()["stored"]}, draws=60)
    assert one.passes == pytest.approx(2, abs=0.2)


def test_surrogate_terms_are_those_of_the_theory(found: Audit) -> None:
    losses = small().losses.numpy()
    surrogate, terms = found["fresh"].surrogate, found["fresh"].theorem_four
    theory = gap(losses, DESIGN)
    assert surrogate.loss == pytest.approx(surrogate_loss(losses, DESIGN))
    assert surrogate.gap == pytest.approx(theory.value)
    assert surrogate.chi_bound == pytest.approx(theory.chi_std)
    assert surrogate.tv_bound == pytest.approx(theory.tv_range)
    assert 0 <= surrogate.gap <= min(surrogate.chi_bound, surrogate.tv_bound)
    assert terms is not None
    assert terms.gap == pytest.approx(theory.value)
    fewer = math.sqrt((N - DESIGN.s) / (DESIGN.s * (N - 1)))
    printed = math.sqrt(2) * spectrum_deviation(DESIGN) * losses.max() * fewer
    assert terms.wasserstein_term == pytest.approx(printed)
    assert found["random"].theorem_four is None


def test_nothing_but_losses_and_norms_has_the_unit_of_the_loss(found: Audit) -> None:
    """A power of two as the unit changes exponents alone, so that the digits are the same."""
    unit, problem = 2.0**20, small()

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return unit * problem.population.loss(model, batch)

    population = replace(problem.population, loss=loss)
    other = audit(problem.model, population, rules(), draws=300, batch_size=16)
    for name in ("mean_loss", "loss_range", "gradient_norm"):
        assert getattr(other, name) == unit * getattr(found, name)
    alike = "cosine", "scale", "bias", "parts", "parts_residual", "variance", "bias_to_variance"
    for mine, theirs in zip(other.rules, found.rules, strict=True):
        for name in (*alike, "monte_carlo", "monte_carlo_expected", "layers"):
            assert getattr(mine, name) == getattr(theirs, name), name
    assert max(row.parts_residual for row in found.rules) > 0


def test_gradients_are_projected_on_as_many_directions_as_it_says() -> None:
    problem = small()
    generator = torch.Generator().manual_seed(0)
    shared = Shared(problem.model, problem.population, problem.losses, generator, 1, True, 2**30)
    rows = torch.cat([signs(shared.directions, *layer) for layer in enumerate(shared.sizes)], 1)
    assert torch.linalg.matrix_rank(rows.double()) == PROJECTIONS


def test_goes_to_json(found: Audit) -> None:
    text = json.dumps(found.as_dict(), allow_nan=False)
    assert json.loads(text)["rules"][0]["method"] == "full"
    with pytest.raises(KeyError, match="no method 'x'"):
        found["x"]


class Half:
    """A user's rule, without our base classes: the even samples or the odd ones, by a coin."""

    def __init__(self, n: int, stated: float) -> None:
        self.n, self.budget, self.stated = n, None, stated

    def select(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        side = int(torch.rand(1, generator=generator) < 0.5)
        indices = torch.arange(side, self.n, 2)
        return indices, torch.ones(len(indices))

    def expected_weights(self, scores: Tensor | None = None) -> Tensor:
        weights = torch.full((self.n,), 1 / self.n, dtype=torch.float64)
        weights[::2] *= self.stated
        return weights

    def update(self, indices: Tensor, losses: Tensor) -> None: ...
    def set_epoch(self, epoch: int) -> None: ...
    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None: ...


def test_own_rule_model_and_data() -> None:
    model = nn.Sequential(
        nn.Linear(INPUTS, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 3)
    )
    data = TensorDataset(torch.randn(40, INPUTS), torch.randint(3, (40,)))
    right = audit(model, data, {"coin": Half(40, 1.0)})["coin"]
    wrong = audit(model, data, [Half(40, 1.1)])["Half"]
    assert model.training
    assert right.bias == 0
    assert right.variance is None
    assert right.agreement is not None
    assert not right.agreement.alarm
    assert wrong.agreement is not None
    assert wrong.agreement.alarm
    assert wrong.agreement.p_value < 1e-6


def test_one_walk_for_all_rules_and_one_more_for_a_grid_at_stored_scores() -> None:
    problem = small()
    visited: list[int] = []
    audit(
        problem.model, problem.population, rules(), draws=0, moments=False, on_batch=visited.append
    )
    assert sum(visited) == N
    stored = [OrderDP(Design(N, 30, q)) for q in (5, 9, 15, 20)]
    for rule in stored:
        rule.update(torch.arange(N), stale_scores())
    visited.clear()
    grid = {str(rule.budget): rule for rule in stored}
    found = audit(
        problem.model, problem.population, grid, draws=0, moments=False, on_batch=visited.append
    )
    assert sum(visited) == 2 * N
    full = problem.gradients.mean(0)
    for rule in stored:
        bias = rule.expected_weights() @ problem.gradients - full
        assert found[str(rule.budget)].bias == pytest.approx(float(bias.norm() / full.norm()))


@pytest.mark.parametrize("named", [["stored"], list(rules())])
def test_little_memory_gives_the_same(found: Audit, named: list[str]) -> None:
    """As little a parameter as 4 GiB are for 124 million: for one rule as for many."""
    problem = small()
    limit = 4 * 2**30 * problem.gradients.shape[1] // 124_000_000
    few = {name: rules()[name] for name in named}
    visited: list[int] = []
    parts = audit(
        problem.model,
        problem.population,
        few,
        draws=0,
        batch_size=16,
        memory_limit=limit,
        on_batch=visited.append,
    )
    assert sum(visited) > N
    for a in parts.rules:
        b = found[a.method]
        for name in ("bias", "cosine", "scale", "variance"):
            assert getattr(a, name) == pytest.approx(getattr(b, name), rel=1e-9, abs=1e-9)
        assert a.parts == pytest.approx(b.parts, abs=1e-9)
        for mine, theirs in zip(a.layers, b.layers, strict=True):
            assert (mine.name, mine.bias) == (theirs.name, pytest.approx(theirs.bias, abs=1e-9))


def test_bad_input() -> None:
    problem = small()
    model, population = problem.model, problem.population
    with pytest.raises(ValueError, match="selects from 40 samples, the data has 41"):
        audit(model, population, [FullData(40)])
    with pytest.raises(ValueError, match="no rule to audit"):
        audit(model, population, [])
    with pytest.raises(ValueError, match="need names"):
        audit(model, population, [FullData(N), FullData(N)])
    with pytest.raises(TypeError, match="map-style"):
        audit(model, iter([1]), [FullData(N)])
    with pytest.raises(ValueError, match="empty"):
        Population(0, population.batch)
    bad = replace(population, batch=lambda i: (problem.inputs[i] * math.inf, problem.labels[i]))
    with pytest.raises(ValueError, match="sample 0 is nan"):
        audit(model, bad, [FullData(N)])
    still = replace(population, loss=supervised(lambda out, _: out.sum(1) * 0))
    with pytest.raises(ValueError, match="norm 0"):
        audit(model, still, [FullData(N)])


@pytest.fixture(scope="module")
def digits() -> DataSet:
    data = load_data("digits", label_noise=0.2)
    assert isinstance(data, DataSet)
    kept = {name: getattr(data, name)[:150] for name in ("train_images", "train_labels", "flipped")}
    return replace(data, **kept)


def test_a_followed_epoch_is_the_one_that_training_takes(
    digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(epochs=2, batch_size=20, momentum=0.0, weight_decay=0.0, label_smoothing=0.0)
    torch.manual_seed(0)
    model = build_model("cnn", in_channels=1, num_classes=10, image_size=8)
    rule = OrderDP(Design(150, 100, 50))
    monkeypatch.setattr(Recipe, "learning_rate", lambda self, progress: RATE)
    data, population = digits, population_of_images(digits, recipe)
    run = train(model, data, rule, recipe)
    state = next(run).state.state_dict()
    before = copy.deepcopy(model.state_dict())
    followed = follow_epoch(model, data, rule, recipe, population, state)
    assert followed is not None
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])

    found = audit(model, population, {"it": rule}, followed={"it": followed})["it"]
    assert found.epoch is not None
    assert found.epoch.residual < 1e-9
    assert set(found.epoch.parts) == {
        "ranking", "staleness", "normalisation", "draw", "reuse", "minibatches",
    }  # fmt: skip

    # Plain gradient descent at a constant rate moves by just the gradients that were recorded.
    next(run)
    moved = torch.cat([(model.state_dict()[n] - before[n]).flatten() for n in before]).double()
    error = moved + 3 * RATE * followed.followed
    assert float(error.norm()) < 1e-4 * float(moved.norm())
    assert float((followed.start - followed.followed).norm()) > 0.01 * float(followed.start.norm())
    assert follow_epoch(model, data, rule, recipe, population, state | {"epoch": 2}) is None
