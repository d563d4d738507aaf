"""Per-sample gradients by a layer's rule, made or not, against one backward pass a sample."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from orderdp_theory import Design, Ranking
from orderdp_train.auditing import Population, audit, supervised
from orderdp_train.auditing import covariance as covariance_module
from orderdp_train.auditing import per_sample as rules_of_layers
from orderdp_train.auditing.covariance import (
    Products,
    covariance_trace,
    per_sample_gradients,
    products,
)
from orderdp_train.auditing.layers import UPDATE, Layers, audit_mode, cost_of_rows
from orderdp_train.auditing.per_sample import RULES, Asked, Made, PerSample, Recurrence
from orderdp_train.rules import EpsilonGreedy, OrderDP, RandomSubset, UnbiasedOrderDP
from orderdp_train.rules.pairs import second_order
from tests.auditing.problem import INPUTS, N, small

B = 5
TOKENS = torch.tensor([[1, 3, 1], [0, 0, 2], [3, 1, 0], [2, 2, 2], [0, 1, 3]])


class Tenfold(nn.Linear):
    """A layer of its own, so without a rule."""

    def forward(self, input: Tensor) -> Tensor:
        return 10 * super().forward(input.tanh())


class Scaled(nn.Linear):
    """Reads a tensor that belongs to no sample, shorter than a batch."""

    def forward(self, input: Tensor, scale: Tensor) -> Tensor:
        return super().forward(input) * scale


class Scaling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scaled = Scaled(4, 2)

    def forward(self, input: Tensor) -> Tensor:
        return self.scaled(input, torch.tensor([1.0, 3.0], dtype=input.dtype))


def trained(norm: nn.Module) -> nn.Module:
    """Statistics and parameters that are not those of the beginning."""
    for name, value in norm.state_dict().items():
        if value.is_floating_point():
            value += 0.1 + 0.3 * torch.rand(value.shape) * (1 if "var" in name else -1)
    return norm


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...] | Tensor]] = {
    "linear": (lambda: nn.Linear(4, 3), (4,)),
    "linear at positions": (lambda: nn.Linear(4, 3), (2, 3, 4)),
    "linear at few positions": (lambda: nn.Linear(20, 24), (2, 20)),
    "linear without bias": (lambda: nn.Linear(4, 3, bias=False), (7, 4)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, groups=2, stride=2, padding=1), (4, 9)),
    "conv1d, in groups at few positions": (lambda: nn.Conv1d(8, 12, 3, groups=2), (8, 4)),
    "conv2d": (lambda: nn.Conv2d(4, 6, (3, 2), stride=(1, 2), padding=(0, 1)), (4, 6, 7)),
    "conv2d, 1×1": (lambda: nn.Conv2d(4, 6, 1, stride=2), (4, 5, 5)),
    "conv2d, depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4, bias=False), (4, 5, 5)),
    "conv2d, dilated": (lambda: nn.Conv2d(2, 3, 3, dilation=2, padding="same"), (2, 6, 5)),
    "conv2d, circular": (
        lambda: nn.Conv2d(2, 3, 3, padding=1, stride=2, padding_mode="circular"), (2, 5, 6),
    ),
    "conv3d": (lambda: nn.Conv3d(2, 4, 2, groups=2, dilation=(1, 2, 1)), (2, 3, 5, 4)),
    "embedding": (lambda: nn.Embedding(4, 3), TOKENS),
    "embedding with padding": (lambda: nn.Embedding(4, 3, padding_idx=0), TOKENS),
    "batch norm": (lambda: trained(nn.BatchNorm1d(4)), (4,)),
    "batch norm 2d": (lambda: trained(nn.BatchNorm2d(4)), (4, 3, 2)),
    "group norm": (lambda: trained(nn.GroupNorm(2, 4)), (4, 3, 3)),
    "layer norm": (lambda: trained(nn.LayerNorm([3, 4])), (2, 3, 4)),
    "rms norm": (lambda: trained(nn.RMSNorm(4)), (3, 4)),
    "no rule": (lambda: Tenfold(4, 3), (2, 4)),
    "no rule, and a tensor for all samples": (Scaling, (4,)),
    "no rule, two inputs": (lambda: nn.PReLU(4), (4, 3)),
}  # fmt: skip


def inputs_of(shape: tuple[int, ...] | Tensor) -> Tensor:
    if isinstance(shape, Tensor):
        return shape
    return torch.randn(B, *shape, dtype=torch.float64)


def put(sums: Tensor, entries: slice, some: Tensor) -> None:
    sums[:, entries] = some


@pytest.mark.parametrize("large", ["", "in pieces", "in long pieces"])
@pytest.mark.parametrize("name", CASES)
def test_a_rule_gives_what_autograd_gives(
    name: str, large: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small parameters have their gradients made; with `large` none is small, and no cache is."""
    torch.manual_seed(0)
    build, shape = CASES[name]
    layer, inputs = build().double(), inputs_of(shape)
    if large:
        monkeypatch.setattr(rules_of_layers, "SMALL", 0)
        monkeypatch.setattr(rules_of_layers, "AT_ONCE", 64)
        monkeypatch.setattr(rules_of_layers, "CHANNELS", 3)
    if large == "in long pieces":
        monkeypatch.setattr(rules_of_layers, "LONG", 1)
    model = nn.Sequential(layer, nn.Tanh())
    mix = torch.randn_like(model.eval()(inputs)[0])
    parameters = list(model.parameters())

    def losses() -> Tensor:
        return (model(inputs) * mix).flatten(1).sum(1).square()

    rows = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses()]
    phi = torch.randn(2, B, dtype=torch.float64)
    layers = Layers(model, parameters)
    with audit_mode(model):
        layers.verify_on(losses)
        assert layers.general == []
        for each in (False, True):
            with layers.recording():
                found = list(layers.gradients(losses(), phi, each=each))
            assert [i for i, *_ in found] == list(range(len(parameters)))
            for i, weighted in found:
                sums, single = weighted.sums(), weighted.single
                exact = torch.stack([row[i].flatten() for row in rows])
                assert not sums.requires_grad
                torch.testing.assert_close(sums[0], exact.sum(0))
                torch.testing.assert_close(sums[1:], phi @ exact)
                if not each:
                    continue
                assert single is not None
                torch.testing.assert_close(single.squares(), exact.square().sum(1))
                torch.testing.assert_close(single.gram(), exact @ exact.T)
                torch.testing.assert_close(single.sums(phi), phi @ exact)
                vectors = torch.randn(3, exact.shape[1], dtype=torch.float64)
                torch.testing.assert_close(single.dots(vectors), exact @ vectors.T)
                for weights in (phi, torch.randn(4, B, dtype=torch.float64)):
                    check_together(single, exact, weights)


def check_together(single: PerSample, exact: Tensor, phi: Tensor) -> None:
    """Sums, products with vectors and with running sums, and squares, all at once."""
    vectors = torch.randn(2, exact.shape[1], dtype=torch.float64)
    recurrences = [Recurrence(*torch.randn(2, B, dtype=torch.float64)) for _ in range(2)]
    sums = torch.full_like(phi @ exact, math.nan)
    seen = single.together(phi, Asked(vectors, recurrences), partial(put, sums))
    assert seen is not None
    torch.testing.assert_close(sums, phi @ exact)
    torch.testing.assert_close(seen.dots, exact @ vectors.T)
    torch.testing.assert_close(seen.squares, exact.square().sum(1))
    for found, r in zip(seen.within.T, recurrences, strict=True):
        total = torch.zeros_like(exact[0])
        for one, row, keep, gain in zip(found, exact, r.keep, r.gain, strict=True):
            torch.testing.assert_close(one, row @ total)
            total = keep * total + gain * row
        torch.testing.assert_close(r.before[-1] @ exact, total)
    assert single.together(phi, Asked(vectors[:0]), partial(put, sums.fill_(math.nan))) is None
    torch.testing.assert_close(sums, phi @ exact)


@pytest.mark.parametrize("rows", [1, 10])
@pytest.mark.parametrize("made", [False, True])
def test_what_more_rows_cost_is_counted(
    rows: int, made: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a convolution at 64 positions, as the share of all products of a plain pass."""
    if not made:
        monkeypatch.setattr(rules_of_layers, "AT_ONCE", 64)
    model, images = nn.Conv2d(2, 4, 3, padding=1, bias=False), torch.randn(3, 2, 8, 8)
    found = cost_of_rows(
        model, lambda: model(images).square().sum((1, 2, 3)), rows, UPDATE, each=False
    )
    contraction, products = 64 * 72, rows * 72 * (1 + 1)  # with a batch, and to add to the sums
    alone = {1: 63 * 72, 10: contraction}[rows]  # single gradients are made once for ten
    assert found == pytest.approx((products + (0 if made else alone)) / (contraction + 1) / 3)


class Attention(nn.Module):
    """Torch's attention reads its projections itself, so no call of theirs is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Linear(INPUTS, 8)
        self.mix = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.read(x).view(-1, 2, 4)
        return self.head(torch.tanh(x + self.mix(x, x, x, need_weights=False)[0]).flatten(1))


def test_attention_goes_the_slow_way_alone() -> None:
    problem = small()
    torch.manual_seed(0)
    model = Attention().double().eval()
    population = problem.population
    losses = population.all_losses(model)
    parameters = list(model.parameters())
    rows = torch.stack(
        [
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])
            for loss in (population.losses(model, torch.tensor([i]))[0] for i in range(N))
        ]
    )
    rule = OrderDP(Design(N, 20, 9), scorer=lambda i: losses[i])
    found = audit(model, population, {"rule": rule, "random": RandomSubset(N, 9)}, draws=0)
    centred = float((rows - rows.mean(0)).square().sum()) / (N - 1)
    norm = float(rows.mean(0).norm())
    assert found["random"].variance == pytest.approx(centred * (1 / 9 - 1 / N) / norm**2, rel=1e-9)
    (slow,) = found.slow
    assert "mix.in_proj_weight" in slow
    assert "read" not in slow


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("batch_size", [1, 6, 41])
def test_moments_of_a_walk_are_those_of_single_samples(tied: bool, batch_size: int) -> None:
    """The variance from the walk, against pair sums over per-sample gradients."""
    problem = small()
    scores = torch.rand(N, generator=torch.Generator().manual_seed(1))
    if tied:
        scores = (scores * 5).floor()
        scores[:20] = 9.0  # a group that goes over many batches
    designs = {f"{s} {q}": Design(N, s, q) for s, q in ((N, 9), (20, 9), (30, 29), (7, 1))}
    rules = {}
    for name, design in designs.items():
        rules[name] = OrderDP(design)
        rules[name].update(torch.arange(N), scores)
    found = audit(problem.model, problem.population, rules, draws=0, batch_size=batch_size)
    ranking = Ranking.of(scores.double().numpy())
    ones = torch.ones(N, dtype=torch.float64)
    slow = products(problem.model, problem.population, ranking, ones)
    norm = problem.gradients.mean(0).norm()
    for name, rule in rules.items():
        second, q = second_order(rule), rule.design.q
        assert second is not None
        assert second.pairs is not None
        pairs = second.pairs
        p = rule.expected_weights() * q
        mean = p @ problem.gradients
        both = pairs.between @ slow.between.sum(1) + pairs.within @ slow.within.sum(1)
        exact = (p @ slow.squares.sum(1) + 2 * both - mean @ mean) / q**2 / norm**2
        assert found[name].variance == pytest.approx(float(exact), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("chunk", [2, 3, 7])
def test_products_are_the_same_in_chunks_of_any_length(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groups of ties that begin and end anywhere in a chunk, or go over several."""
    problem = small()
    scores = (torch.rand(N, generator=torch.Generator().manual_seed(1)) * 9).floor()
    scores[:11] = 4.0
    ranking = Ranking.of(scores.double().numpy())
    a = torch.rand(N, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    whole = products(problem.model, problem.population, ranking, a)
    size = 8 * problem.gradients.shape[1]
    monkeypatch.setattr(covariance_module, "CHUNK_BYTES", chunk * size)
    found = products(problem.model, problem.population, ranking, a)
    for name in ("squares", "between", "within"):
        torch.testing.assert_close(getattr(found, name), getattr(whole, name))
    with audit_mode(problem.model):
        chunks = per_sample_gradients(
            problem.model, problem.population, torch.arange(N), chunk_bytes=chunk * size
        )
        lengths = [len(gradients[0]) for _, gradients in chunks]
    assert lengths == [chunk] * (N // chunk) + [N % chunk] * (N % chunk > 0)


def test_products_of_some_parameters_and_of_the_others_are_those_of_all() -> None:
    problem, directions = small(), [3, 4]
    ranking = Ranking.of(torch.rand(N, generator=torch.Generator().manual_seed(1)).double().numpy())
    ones = torch.ones(N, dtype=torch.float64)
    whole, some, others = (
        products(problem.model, problem.population, ranking, ones, directions, layers=layers)
        for layers in (None, [0, 3], [1, 2])
    )
    found = some.replaced(others, [1, 2])
    for name in ("squares", "between", "within", "projections"):
        torch.testing.assert_close(getattr(found, name), getattr(whole, name))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("batch_size", [1, 6, 41])
def test_moments_of_weighted_samples_come_from_the_same_walk(tied: bool, batch_size: int) -> None:
    """Of weights that differ from sample to sample, beside others of the same ranking."""
    problem = small()
    scores = torch.rand(N, generator=torch.Generator().manual_seed(1))
    if tied:
        scores = (scores * 5).floor()
    rules: dict[str, OrderDP | UnbiasedOrderDP] = {"orderdp": OrderDP(Design(N, 20, 9))}
    for s, q, certain in ((20, 9, 3), (30, 29, 5)):
        rules[f"{s} {q}"] = UnbiasedOrderDP(Design(N, s, q), certain)
    for rule in rules.values():
        rule.update(torch.arange(N), scores)
    few = 8 * 12 * 30  # bytes, for some of the 66 parameters at a time
    run = partial(audit, problem.model, problem.population, rules, draws=0, batch_size=batch_size)
    for found in (run(), run(memory_limit=few)):
        assert found.slow == []
        for name, rule in rules.items():
            second = second_order(rule)
            assert second is not None
            assert second.pairs is not None
            a, p = second.coefficient, second.inclusion
            slow = products(problem.model, problem.population, second.pairs.ranking, a)
            mean, total = ((c @ problem.gradients)[None] for c in (p * a, a))
            inner = ((x * y).sum(1) for x, y in ((mean, mean), (total, total), (total, mean)))
            sums = (x.sum(1, True) for x in (slow.squares, slow.between, slow.within))
            exact = float(covariance_trace(second, Products(*sums, slow.projections), *inner))
            norm = float(problem.gradients.mean(0).norm())
            assert found[name].variance == pytest.approx(exact / norm**2, rel=1e-9, abs=1e-12)


def test_a_layer_without_a_rule_may_be_frozen_in_part() -> None:
    torch.manual_seed(0)
    layer = Tenfold(INPUTS, 3).double()
    layer.weight.requires_grad_(False)
    population = Population(N, small().population.batch, supervised(lambda out, _: out[:, 0].exp()))
    found = audit(layer, population, {"random": RandomSubset(N, 9)}, draws=0)
    losses = population.all_losses(layer)  # a tenth of the gradients by the first bias
    exact = losses.var() * (1 / 9 - 1 / N) / losses.mean() ** 2
    assert found["random"].variance == pytest.approx(float(exact), rel=1e-9)


def test_certain_and_random_samples_of_one_weight() -> None:
    """Where all weights are the same, their sum of gradients is a multiple of the full one."""
    problem, k, left = small(), 12, 31
    rule = EpsilonGreedy(N, k, epsilon=2 / 12)
    rule.update(torch.arange(N), torch.arange(N).flip(0))  # so that the first ten are certain
    found = audit(problem.model, problem.population, {"rule": rule}, draws=0)["rule"]
    rest = problem.gradients[N - left :]
    covariance = 2 * (1 - 2 / left) * (rest - rest.mean(0)).square().sum() / (left - 1) / k**2
    norm = problem.gradients.mean(0).norm()
    assert found.variance == pytest.approx(float(covariance / norm**2), rel=1e-9)


def test_a_rule_that_is_wrong_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It forgets the last sample's gradient: seen on the first samples, and done the slow way."""
    problem = small()
    rules = {"random": RandomSubset(N, 9)}
    right = audit(problem.model, problem.population, rules, draws=0)

    def wrong(
        module: nn.Linear, inputs: Tensor, signal: Tensor, each: bool
    ) -> dict[str, PerSample]:
        found = RULES[nn.Linear](module, inputs, signal, each)
        assert found is not None
        rows = found["weight"].sums(torch.eye(len(signal)))
        rows[-1] = 0
        return {"weight": Made(rows), "bias": found["bias"]}

    monkeypatch.setattr(rules_of_layers, "RULES", {nn.Linear: wrong})
    layers = Layers(problem.model, list(problem.model.parameters()))
    with audit_mode(problem.model):
        layers.verify_on(lambda: problem.population.losses(problem.model, torch.arange(4)))
    assert layers.owned == {}
    found = audit(problem.model, problem.population, rules, draws=0)
    assert found["random"].variance == pytest.approx(right["random"].variance, rel=1e-9)


def test_inputs_that_are_written_over_are_noticed() -> None:
    """Autograd does not mind where it needs them no more; a rule would read what is new."""

    class Overwriting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = nn.Linear(INPUTS, INPUTS)
            self.shift.weight.requires_grad_(False)
            self.head = nn.Linear(INPUTS, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = x * 1
            y = self.shift(x)
            x.zero_()
            return self.head(torch.tanh(y))

    torch.manual_seed(0)
    model = Overwriting().double()
    population = Population(
        N, small().population.batch, supervised(lambda out, _: out.square().sum(1))
    )
    layers = Layers(model, [p for p in model.parameters() if p.requires_grad])
    with audit_mode(model):
        layers.verify_on(lambda: population.losses(model, torch.arange(4)))
    assert [type(m) for m in layers.owned] == [nn.Linear]
    assert np.array_equal(layers.general, [0])
