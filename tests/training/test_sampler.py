"""A rule in somebody else's training script: any DataLoader, any number of workers."""

import re
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from orderdp_theory import Design
from orderdp_train import InfoBatch, OrderDP, RandomSubset, RuleSampler, WithIndex

README = Path(__file__).parents[2] / "README.md"
N = 40


def dataset() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(
        torch.randn(N, 3, generator=generator), torch.randint(0, 5, (N,), generator=generator)
    )


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("workers", [0, 2])
def test_passes_yield_the_rules_selections_with_their_samples(workers):
    data = dataset()
    rule = OrderDP(Design(N, 20, 12))
    sampler = RuleSampler(rule, seeded())
    loader = DataLoader(WithIndex(data), batch_size=5, sampler=sampler, num_workers=workers)
    twin, generator = OrderDP(Design(N, 20, 12)), seeded()
    assert len(loader) == 3
    for _ in range(2):
        expected = twin.select(generator)[0]
        torch.randperm(12, generator=generator)  # the sampler shuffles
        seen = []
        for indices, inputs, targets in loader:
            assert torch.equal(inputs, data.tensors[0][indices])
            assert torch.equal(targets, data.tensors[1][indices])
            losses = inputs.square().sum(1)
            assert sampler.loss(indices, losses) == losses.mean()
            twin.update(indices, losses)
            seen += indices.tolist()
        assert sorted(seen) == sorted(expected.tolist())
    assert torch.equal(rule.scores, twin.scores)


def test_the_order_within_a_pass_is_shuffled():
    # Every selection is all of 0..N-1, so 20 passes that all start below N/2 would be one in 2^20.
    sampler = RuleSampler(RandomSubset(N, N), seeded())
    firsts = [next(iter(sampler)) for _ in range(20)]
    assert min(firsts) < N / 2 <= max(firsts)


def test_the_loss_is_weighted_and_differentiable():
    rule = InfoBatch(N, 0.5)
    rule.update(torch.arange(N), torch.arange(N).float())
    sampler = RuleSampler(rule, seeded())
    indices = torch.tensor(list(sampler))
    assert len(indices) == N // 2 + N // 4
    losses = torch.ones(len(indices), requires_grad=True)
    sampler.loss(indices, losses).backward()
    weights = torch.where(indices < N // 2, 2.0, 1.0)
    assert losses.grad is not None
    assert torch.allclose(losses.grad * len(indices), weights)
    left_out = sorted(set(range(N)) - set(indices.tolist()))
    assert sampler.weights_of(torch.tensor(left_out)).tolist() == [0.0] * len(left_out)
    with pytest.raises(TypeError, match="depends on the losses"):
        len(sampler)


def test_epochs_are_counted_for_annealing():
    rule = InfoBatch(N, 0.5, anneal_from=2)
    rule.update(torch.arange(N), torch.arange(N).float())
    sampler = RuleSampler(rule, seeded())
    assert [len(list(sampler)) for _ in range(3)] == [30, 30, 40]
    sampler.set_epoch(1)
    assert [len(list(sampler)) for _ in range(2)] == [30, 40]


def test_samples_that_are_not_tuples_get_an_index_too():
    assert WithIndex([5, 6])[1] == (1, 6)
    assert len(WithIndex([5, 6])) == 2


def test_the_readme_snippet_runs_as_shown():
    """The first Python block of its section, run as it stands, trains on 30 % and learns scores."""
    section = README.read_text(encoding="utf-8").split("## Use it in your own training script")[1]
    snippet = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert snippet is not None
    names: dict = {}
    exec(compile(snippet[1], str(README), "exec"), names)
    rule, data = names["sampler"].rule, names["dataset"]
    assert rule.budget == int(0.6 * int(0.5 * len(data)))
    used = rule.scores.isfinite()
    assert rule.budget < int(used.sum()) <= len(data)
    losses = cross_entropy(names["model"](data.tensors[0]), data.tensors[1], reduction="none")
    assert torch.isfinite(losses).all()
