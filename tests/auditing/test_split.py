"""What stored scores do to a bias: score noise, survivorship, staleness, each with its error."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from orderdp_train.auditing import RuleAudit, audit
from orderdp_train.auditing.point import AuditedPoint, Effort, Point, audit_point
from orderdp_train.auditing.population import population_of_images
from orderdp_train.auditing.replay import Replays, beginning, replay, unit
from orderdp_train.auditing.split import SCORE_CAUSES, split_scores
from orderdp_train.data import Augmentation, DataSet, load_data
from orderdp_train.models import build_model
from orderdp_train.rules import InfoBatch, RandomSubset, RuleConfig
from orderdp_train.training.loop import train
from orderdp_train.training.recipe import Recipe
from tests.auditing.problem import small

N = 80
RECIPE = Recipe(epochs=4, batch_size=40, max_lr=0.0)
CAUSES = ["ranking", *SCORE_CAUSES, "normalisation"]
REPLAYS = 39


pytestmark = pytest.mark.usefixtures("one_thread")


def images(augmentation: Augmentation = Augmentation()) -> DataSet:
    data = load_data("digits", label_noise=0.2)
    assert isinstance(data, DataSet)
    kept = {name: getattr(data, name)[:N] for name in ("train_images", "train_labels", "flipped")}
    return replace(data, augmentation=augmentation, **kept)


AUGMENTED = images(Augmentation(padding=1, flip=True))


def network(norm: bool) -> nn.Module:
    """Trained a little, so that losses differ; with BatchNorm and dropout or without either."""
    torch.manual_seed(0)
    model = build_model("cnn", in_channels=1, num_classes=10, image_size=8)
    if norm:
        model = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Flatten(), nn.Dropout(0.2), nn.Linear(128, 10)),
        )
    warm_up = replace(RECIPE, epochs=15, max_lr=0.1)
    everything = RandomSubset(N, N)
    for _ in train(model, images(), everything, warm_up, seed=99, evaluated=False):
        pass
    return model


def point_of(model: nn.Module, data: DataSet, rule: RuleConfig, recipe: Recipe = RECIPE) -> Point:
    """Where a training of the model is after `recipe.epochs`."""
    begin = beginning(rule, data, recipe)
    built = begin(model)
    (*_, last) = train(model, data, built, recipe, seed=1, evaluated=False)
    state = last.state.state_dict()
    return Point(model, built, data, recipe, state, 0.0, 0.0, seed=1, begin=begin)


def replays_of(point: Point, count: int) -> Replays:
    assert point.begin is not None
    return replay(
        *(point.model, point.data, point.recipe, point.begin, point.epoch, count),
        seed=(0, point.epoch),
    )


def audited(point: Point, count: int = 4, views: int | None = None) -> AuditedPoint:
    effort = Effort(draws=50, moments=False, monte_carlo=False, views=views, replays=count)
    return audit_point(point, "it", effort=effort, false_alarm=0.01)


def gradients(point: Point) -> Tensor:
    """Of each sample's loss, as audits take them, float64 `(n, P)`."""
    population = population_of_images(point.data, point.recipe)
    rows = []
    for i in range(N):
        loss = population.losses(point.model.eval(), torch.tensor([i])).sum()
        grads = torch.autograd.grad(loss, list(point.model.parameters()))
        rows.append(torch.cat([g.flatten() for g in grads]).double())
    return torch.stack(rows)


def furthest_of_all(point: Point) -> bool:
    """Whether the run's expected gradient is further from the mean of the others than any replay's.

    If the run is one more replay, all are alike, and the chance of that is 1 / (REPLAYS + 1).
    """
    rows = torch.cat(
        [unit(point.rule.expected_weights())[None], replays_of(point, REPLAYS).replayed]
    )
    vectors = rows @ gradients(point)
    return int((vectors - vectors.mean(0)).square().sum(1).argmax()) == 0


SETTINGS = {
    "plain": (False, images(), "orderdp"),
    "augmented": (False, AUGMENTED, "orderdp"),
    "BatchNorm and dropout": (True, AUGMENTED, "orderdp"),
    "moving average": (True, AUGMENTED, "ucb"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_at_learning_rate_0_nothing_is_stale(name: str) -> None:
    """False-alarm rate 2.5 % each: see `furthest_of_all`."""
    norm, data, rule = SETTINGS[name]
    assert not furthest_of_all(point_of(network(norm), data, RuleConfig(rule)))


def test_old_parameters_are_noticed() -> None:
    """The twin: the same test where parameters have moved; and all is stale if nothing is noisy."""
    recipe = replace(RECIPE, max_lr=0.3)
    assert furthest_of_all(point_of(network(norm=True), AUGMENTED, RuleConfig("orderdp"), recipe))
    config = RuleConfig("orderdp", {"initial_score": "first-pass"})
    [row] = audited(point_of(network(norm=False), images(), config, recipe)).audit.rules
    assert row.split is not None
    assert row.parts["staleness"] == pytest.approx(row.split.whole, rel=1e-6)
    assert row.parts["staleness"] > 0.1
    assert row.split.errors["staleness"] < 1e-6


@pytest.mark.parametrize(("epochs", "survives"), [(1, False), (8, True)])
def test_scores_stored_by_one_full_pass_know_no_survivorship(epochs: int, survives: bool) -> None:
    """Selective backprop first keeps everything: its replays then are redraws of a pass.

    The difference of their means is compared with those of 99 random divisions of all of them, of
    which none exceeds it with chance 1 % if they are alike; after eight epochs they are not.
    """
    rule = RuleConfig("selective-backprop")
    recipe = replace(RECIPE, epochs=epochs)
    point = point_of(network(norm=True), AUGMENTED, rule, recipe)
    found = replays_of(point, 20)
    vectors = torch.cat([found.noisy, found.replayed]) @ gradients(point)

    def distance(order: Tensor) -> float:
        first, second = vectors[order].tensor_split(2)
        return float((first.mean(0) - second.mean(0)).norm())

    generator = torch.Generator().manual_seed(0)
    others = [distance(torch.randperm(40, generator=generator)) for _ in range(99)]
    assert (distance(torch.arange(40)) > max(others)) == survives


@pytest.mark.parametrize("rule", ["orderdp", "selective-backprop", "orderdp-rescored"])
def test_without_noise_a_first_pass_leaves_nothing_to_split(rule: str) -> None:
    """The stored scores are the present losses, to rounding, in whatever order they come."""
    config = RuleConfig(rule, {"initial_score": "first-pass"})
    point = point_of(network(norm=False), images(), config)
    torch.testing.assert_close(
        replays_of(point, 2).replayed, unit(point.rule.expected_weights()).expand(2, -1)
    )
    [row] = audited(point).audit.rules
    assert all(row.parts.get(cause, 0.0) < 1e-6 for cause in SCORE_CAUSES)
    # Where samples have not been used yet, that is what the rule has stored, not an old parameter.
    first = replace(RECIPE, epochs=1)
    point = point_of(network(norm=False), images(), RuleConfig(rule), first)
    if rule != "selective-backprop":
        [row] = audited(point).audit.rules
        assert row.parts["survivorship"] > 0.1
        assert row.parts["score noise"] < 1e-6


def test_the_causes_add_up_and_leave_the_point_as_it_is() -> None:
    point = point_of(network(norm=True), AUGMENTED, RuleConfig("orderdp"))
    point = replace(point, state={**point.state, "epoch": 2})
    before = {name: value.clone() for name, value in point.model.state_dict().items()}
    scores, stream = point.rule.state_dict()["scores"].clone(), torch.get_rng_state()
    [row], [whole] = audited(point, 3).audit.rules, audited(point, 0).audit.rules
    assert list(row.parts) == CAUSES
    assert row.split is not None
    assert row.split.replays == 3
    assert row.split.whole == pytest.approx(whole.parts["staleness"], rel=1e-5)
    assert row.parts_residual < 1e-9
    assert row.epoch is not None
    assert list(row.epoch.parts) == [*CAUSES, "draw", "reuse", "minibatches"]
    assert (row.bias, row.cosine) == (whole.bias, whole.cosine)
    assert torch.equal(point.rule.state_dict()["scores"], scores)
    assert torch.equal(torch.get_rng_state(), stream)
    for name, value in point.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_views_have_a_split_of_their_own() -> None:
    point = point_of(network(norm=False), AUGMENTED, RuleConfig("orderdp"))
    [row], [plain] = (audited(point, 3, views).audit.rules for views in (2, None))
    [whole] = audited(point, 0, 2).audit.rules
    assert row.split is not None
    assert row.split.whole == pytest.approx(whole.parts["staleness"], rel=1e-5)
    assert row.parts["staleness"] != plain.parts["staleness"]
    assert row.bias_error == whole.bias_error


@pytest.mark.parametrize("rule", ["full", "random", "orderdp-fresh", "orderdp-unbiased", "survey"])
def test_rules_whose_stored_scores_do_nothing_are_not_replayed(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderdp_train.auditing.point.replay", None)
    [row] = audited(point_of(network(norm=False), AUGMENTED, RuleConfig(rule))).audit.rules
    assert row.split is None
    assert row.parts["staleness"] == 0


def test_selections_of_every_step_are_replayed() -> None:
    recipe = replace(RECIPE, epochs=2)
    config, steps = RuleConfig("orderdp").per_step(N, 10)
    found = replay(
        *(network(norm=False), AUGMENTED, recipe, beginning(config, AUGMENTED, recipe), 2, 2),
        steps_per_epoch=steps,
        seed=(0,),
    )
    assert found.passes == pytest.approx(2 * (1 + 2 * steps * 10 / N))


def test_batches_are_as_large_as_those_of_the_training() -> None:
    """Two processes saw half of each batch: 40 samples are two batches of 20, or four halves."""
    sizes: list[int] = []
    model = network(norm=True)
    model.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    rule = RuleConfig("orderdp", {"keep": 0.5})
    recipe = replace(RECIPE, batch_size=20)
    for processes in (1, 2):
        begin = beginning(rule, AUGMENTED, recipe)
        replay(model, AUGMENTED, recipe, begin, 2, 2, trained_by=processes, seed=(0,))
        assert set(sizes) == {20 // processes}
        assert sum(sizes) == 2 * (N + 2 * N // 2)
        sizes.clear()


def by_hand(fresh: Tensor, stored: Tensor, found: Replays) -> tuple[dict[str, float], ...]:
    problem = small()
    g = problem.gradients / problem.gradients.mean(0).norm()
    noisy, replayed = found.noisy @ g, found.replayed @ g
    m = len(noisy)
    causes = (
        noisy.mean(0) - fresh @ g,
        replayed.mean(0) - noisy.mean(0),
        stored @ g - replayed.mean(0),
    )
    a, b = (float(x.var(0).sum()) for x in (noisy, replayed))
    errors = (a / m, a / m + b / m, b + b / m)
    return (
        {name: float(v.norm()) for name, v in zip(SCORE_CAUSES, causes, strict=True)},
        {name: math.sqrt(v) for name, v in zip(SCORE_CAUSES, errors, strict=True)},
    )


def split(fresh: Tensor, stored: Tensor, found: Replays, memory: int = 2**30) -> RuleAudit:
    problem = small()
    [row] = audit(problem.model, problem.population, [InfoBatch(len(fresh))], draws=0).rules
    return split_scores(
        *(row, float(problem.gradients.mean(0).norm()), problem.model, [problem.population]),
        *(fresh, stored, found),
        order=problem.losses.argsort(),
        batch_size=8,
        memory_limit=memory,
    )


def rows(count: int) -> Tensor:
    weights = torch.rand(count, 41, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return weights / weights.sum(1, keepdim=True)


def test_norms_and_errors_are_those_by_hand() -> None:
    fresh, stored, *others = rows(8)
    found = Replays(torch.stack(others[:3]), torch.stack(others[3:]), 1.0)
    parts, errors = by_hand(fresh, stored, found)
    for memory in (2**30, 8 * 30 * 20):  # at once, and in parts of the parameters
        row = split(fresh, stored, found, memory)
        assert row.split is not None
        assert {name: row.parts[name] for name in SCORE_CAUSES} == pytest.approx(parts, rel=1e-9)
        assert row.split.errors == pytest.approx(errors, rel=1e-9)
        assert row.parts_residual < 1e-12


def test_a_cause_that_is_none_has_its_error_in_the_root_mean_square() -> None:
    """Exactly, over all ways to say which of exchangeable rows is the run, or a redraw."""
    scores = rows(5)
    squares = []
    for k in range(5):
        others = torch.cat([scores[:k], scores[k + 1 :]])
        row = split(scores[0], scores[k], Replays(others, others, 1.0))
        assert row.split is not None
        squares.append((row.parts["staleness"] ** 2, row.split.errors["staleness"] ** 2))
    found, stated = torch.tensor(squares, dtype=torch.float64).mean(0).tolist()
    assert found == pytest.approx(stated, rel=1e-9)
    squares = []
    for chosen in itertools.combinations(range(4), 2):
        others = [k for k in range(4) if k not in chosen]
        found = Replays(scores[list(chosen)], scores[others], 1.0)
        row = split(scores[0], scores[1], found)
        assert row.split is not None
        squares.append((row.parts["survivorship"] ** 2, row.split.errors["survivorship"] ** 2))
    found, stated = torch.tensor(squares, dtype=torch.float64).mean(0).tolist()
    assert found == pytest.approx(stated, rel=1e-9)


@pytest.mark.parametrize("count", [-1, 1])
def test_replays_need_a_spread(count: int) -> None:
    with pytest.raises(ValueError, match="replays must be 0, or 2 and more"):
        Effort(replays=count)
