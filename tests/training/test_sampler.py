"""A rule in somebody else's training script: any DataLoader, any number of workers or processes."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, Subset, TensorDataset

from orderdp_theory import Design
from orderdp_theory.common.errors import InputError
from orderdp_train import FullData, InfoBatch, OrderDP, RandomSubset, RuleSampler, WithIndex
from orderdp_train.training import sampler as sampler_module
from orderdp_train.training.finite import NonFiniteLossError
from orderdp_train.training.sampler import EveryProcess
from tests.training import sampler_cases as cases
from tests.training.sampler_cases import (
    NAMES,
    Training,
    by_target,
    close,
    plainly,
    rule_named,
)

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
N = cases.N


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("two")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*torchrun, "--nproc-per-node=2", cases.__file__, str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=300,
    )
    return [torch.load(folder / f"{r}.pt") for r in range(2)]


@pytest.mark.parametrize("name", NAMES)
def test_one_process_trains_what_is_written_out(name):
    close(Training(name, 10).run().result(), plainly(name, 10))


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_train_what_one_does_with_twice_the_batch(two, name):
    expected = plainly(name, 10)
    for mine in two:
        close(mine[name], expected)


def test_two_processes_accumulate_what_one_process_trains_at_once(two):
    for mine in two:
        close(mine["accumulate"], plainly("infobatch", 20))


def test_two_processes_share_the_batches_of_a_grouping(two):
    """Two consecutive buckets are one step; the last lacks a second one, or is short."""

    def pairs(indices):
        buckets = by_target(4)(indices)
        return [[i for b in buckets[k : k + 2] for i in b] for k in range(0, len(buckets), 2)]

    for mine in two:
        close(mine["grouped"], plainly("orderdp", 8, group=pairs))


def test_two_processes_in_one_step(two):
    for mine in two:
        close(mine["few"], plainly("random", N))


def test_two_processes_continue_in_the_middle_of_a_pass(two):
    for mine in two:
        assert torch.equal(mine["interrupted"]["theta"], mine["infobatch"]["theta"])
        assert torch.equal(mine["interrupted"]["scores"], mine["infobatch"]["scores"])


def test_every_sample_is_trained_by_one_process_and_a_stand_in_weighs_nothing(two):
    first, second = (mine["share"] for mine in two)
    assert len(first["mine"]) == len(second["mine"]) == N // 2 + 1  # N is odd
    own = torch.cat([first["mine"], second["mine"][:-1]])
    assert sorted(own.tolist()) == list(range(N))
    assert first["weights"].tolist() == [1.0] * (N // 2 + 1)
    assert second["weights"].tolist() == [1.0] * (N // 2) + [0.0]
    for name in ("full", "orderdp"):  # of the stand-in the rule is not told
        told = two[0][name]["told"].tolist()
        assert len(told) == len(set(told)) == rule_named(name).budget


@pytest.fixture
def be_process(monkeypatch):
    """Makes this process one of several, as far as the sampler sees; the others are like it."""

    def become(number: int, of: int) -> None:
        monkeypatch.setattr(sampler_module, "rank", lambda: number)
        monkeypatch.setattr(sampler_module, "world_size", lambda: of)
        monkeypatch.setattr(sampler_module, "gather_vectors", lambda own: own.repeat(of))
        monkeypatch.setattr(sampler_module, "gather_objects", lambda own: [own] * of)

    return become


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_the_shares_of_any_number_of_processes_are_the_selection_of_one(be_process, world):
    """The first sample stands in for what is lacking; it then weighs nothing."""
    whole, steps = list(RuleSampler(FullData(10), seeded())), -(-10 // world)
    for me in range(world):
        be_process(me, world)
        sampler = RuleSampler(FullData(10), seeded())
        mine, own = list(sampler), whole[me::world]
        assert mine == [*own, *whole[:1]][:steps]
        assert len(sampler) == steps
        weights = sampler.weights_of(torch.tensor(mine)).tolist()
        assert weights == [1.0] * len(own) + [0.0] * (steps - len(own))


def test_the_states_of_all_processes_are_for_as_many(be_process):
    def every() -> EveryProcess:
        return EveryProcess(RuleSampler(FullData(10), seeded()))

    for world in (1, 2, 3):
        be_process(0, world)
        state = every().state_dict()
        assert len(state["processes"]) == world
        every().load_state_dict(state)
        for there in {1, 2, 3} - {world}:
            be_process(0, there)
            with pytest.raises(InputError, match=f"of {world} processes and there are {there} now"):
                every().load_state_dict(state)


def test_indices_are_exchanged_as_integers_whatever_the_precision(two):
    assert sorted(two[1]["half"]["told"].tolist()) == list(range(3000))


def test_of_a_step_that_overflows_in_one_process_no_score_is_written(two):
    for mine in two:
        assert len(mine["skipped"]["told"]) == N - 14
        scores = mine["skipped"]["scores"]
        assert int((scores == 2).sum()) == N - 14
        assert int((scores == 1).sum()) == 14  # the initial score


def test_processes_that_differ_are_told(two):
    for mine in two:
        assert "one seed" in mine["unlike"]["error"]
        assert "give each process its own" in mine["foreign"]["error"]


@pytest.mark.parametrize("workers", [0, 2])
def test_passes_yield_the_rules_selections_with_their_samples(workers):
    data = TensorDataset(torch.randn(N, 3, generator=seeded(0)))
    rule = OrderDP(Design(N, 20, 12))
    sampler = RuleSampler(rule, seeded())
    loader = DataLoader(WithIndex(data), batch_size=5, sampler=sampler, num_workers=workers)
    twin, generator = OrderDP(Design(N, 20, 12)), seeded()
    assert len(loader) == 3
    for _ in range(2):
        expected = twin.select(generator)[0]
        torch.randperm(12, generator=generator)  # the sampler shuffles
        seen = []
        for indices, inputs in loader:
            assert torch.equal(inputs, data.tensors[0][indices])
            losses = inputs.square().sum(1)
            assert torch.equal(sampler.loss(indices, losses), losses.sum() / len(losses))
            twin.update(indices, losses)
            seen += indices.tolist()
        assert sorted(seen) == sorted(expected.tolist())
    assert torch.equal(rule.scores, twin.scores)


def test_the_order_within_a_pass_is_shuffled():
    # Every selection is all of 0..N-1, so 20 passes that all start below N/2 would be one in 2^20.
    sampler = RuleSampler(RandomSubset(N, N), seeded())
    firsts = [next(iter(sampler)) for _ in range(20)]
    assert min(firsts) < N / 2 <= max(firsts)


def infobatch() -> InfoBatch:
    """Keeps 21 of 41 samples surely (scores 20, …, 40) and half of the 20 below the mean."""
    rule = InfoBatch(N, 0.5, anneal_from=2)
    rule.update(torch.arange(N), torch.arange(N).float())
    return rule


def test_the_loss_is_weighted_and_differentiable():
    sampler = RuleSampler(infobatch(), seeded())
    indices = torch.tensor(list(sampler))
    assert len(indices) == 31
    weights = torch.where(indices < 20, 2.0, 1.0)
    assert torch.equal(sampler.weights_of(indices), weights)
    losses = torch.ones(len(indices), requires_grad=True)
    sampler.loss(indices, losses).backward()
    assert losses.grad is not None
    assert torch.allclose(losses.grad * len(indices), weights)
    left_out = sorted(set(range(N)) - set(indices.tolist()))
    assert sampler.weights_of(torch.tensor(left_out)).tolist() == [0.0] * len(left_out)


def test_lengths_are_upper_bounds_until_a_pass_is_drawn():
    sampler = RuleSampler(infobatch(), seeded())
    loader = DataLoader(WithIndex(range(N)), batch_size=10, sampler=sampler)
    lengths, told = [len(loader)], []
    for index, _ in loader:
        lengths.append(len(loader))
        told.append(sampler.progress)
        sampler.loss(index, index.float())
    assert lengths == [5, 4, 4, 4, 4]
    assert told == pytest.approx([0, 10 / 31, 20 / 31, 30 / 31])
    assert (sampler.progress, len(loader)) == (1.0, 5)


def test_epochs_are_counted_for_annealing():
    sampler = RuleSampler(infobatch(), seeded())
    assert [len(list(sampler)) for _ in range(3)] == [31, 31, 41]
    sampler.set_epoch(1)
    assert [len(list(sampler)) for _ in range(2)] == [31, 41]


@pytest.mark.parametrize("accumulate", [2, 3, 10])
def test_accumulated_batches_are_one_batch(accumulate):
    found = Training("infobatch", 4, accumulate=accumulate).run().result()
    close(found, plainly("infobatch", 4 * accumulate))


def test_a_batch_sampler_of_the_users_orders_what_is_selected():
    training = Training("orderdp", 5, group=by_target(6)).run()
    close(training.result(), plainly("orderdp", 6, group=by_target(6)))
    assert len(training.loader) == -(-rule_named("orderdp").budget // 6)
    accumulated = Training("orderdp", 5, group=by_target(3), accumulate=2).run()
    close(accumulated.result(), plainly("orderdp", 6, group=by_target(6)))
    with pytest.raises(ValueError, match="each selected sample into one batch"):
        Training("orderdp", 5, group=lambda indices: [indices[1:]]).run()


@pytest.mark.parametrize("name", NAMES)
def test_the_length_of_a_grouping_is_known_before_it_starts_and_costs_nothing(name):
    training = Training(name, 5, group=by_target(4))
    length, batches = len(training.loader), 0
    for index, _, _ in training.loader:
        assert len(training.loader) == length
        training.step(index)
        batches += 1
    assert batches == length
    close(training.run().result(), plainly(name, 4, group=by_target(4)))


@pytest.mark.parametrize("after", [1, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_a_training_continues_bit_for_bit_in_the_middle_of_a_pass(name, after):
    whole = Training(name, 7).run().result()
    found = cases.interrupted(name, 7, after).result()
    assert torch.equal(found["theta"], whole["theta"])
    assert torch.equal(found["scores"], whole["scores"])
    assert torch.equal(found["told"], whole["told"])


@pytest.mark.parametrize("lost", ["generator", "pass", "rule"])
def test_a_lost_part_of_the_state_would_show(lost):
    first = Training("orderdp", 7).run(1)
    first.step(next(iter(first.loader))[0])
    state = first.state_dict()
    state["sampler"][lost] = Training("orderdp", 7, seed=99).state_dict()["sampler"][lost]
    second = Training("orderdp", 7)
    second.load_state_dict(state)
    assert not torch.equal(second.run().theta, Training("orderdp", 7).run().theta)


def test_the_state_is_what_the_loss_was_told_not_what_was_prefetched():
    training = Training("orderdp", 4, workers=2)
    for k, (index, _, _) in enumerate(training.loader):
        if k == 2:  # two batches are trained, all have been sampled
            assert training.state_dict()["sampler"]["pass"]["live"]["position"] == 8
            break
        training.step(index)


@pytest.mark.parametrize("workers", [0, 2])
def test_torchdatas_stateful_loader_continues_bit_for_bit(workers):
    loaders = pytest.importorskip("torchdata.stateful_dataloader", reason="needs torchdata")

    def start(seed):
        training = Training("orderdp", 4, seed=seed)
        data = WithIndex(TensorDataset(cases.X, cases.Y))
        training.loader = loaders.StatefulDataLoader(
            data, batch_size=4, sampler=training.sampler, num_workers=workers
        )
        return training

    whole = start(1).run()
    first = start(1).run(1)
    for k, (index, _, _) in enumerate(first.loader):
        first.step(index)
        if k == 1:
            break
    state = copy.deepcopy(first.loader.state_dict())
    second = start(99)
    second.theta.detach().copy_(first.theta)
    second.loader.load_state_dict(state)
    second.run()
    assert torch.equal(second.theta, whole.theta)
    assert torch.equal(second.sampler.rule.scores, whole.sampler.rule.scores)


def test_looking_into_the_next_pass_does_not_disturb_the_present_one():
    sampler = RuleSampler(infobatch(), seeded())
    loader = DataLoader(WithIndex(range(N)), batch_size=10, sampler=sampler)
    passes = iter(loader)
    told = torch.arange(N).float()
    first = next(passes)[0]
    for index in (first, *(batch[0] for batch in passes)):
        next(iter(loader))
        expected = torch.where(index < 20, 2.0, 1.0)
        assert torch.equal(sampler.weights_of(index), expected)
        losses = torch.arange(len(index)).float()
        assert torch.allclose(sampler.loss(index, losses), (expected * losses).mean())
        told[index] = losses
    assert torch.equal(sampler.rule.scores, told)


def test_a_pass_that_is_left_early_is_told_before_the_next_selection():
    rule = OrderDP(Design(N, N, 10), initial_score=0.0)
    sampler = RuleSampler(rule, seeded())
    loader = DataLoader(WithIndex(range(N)), batch_size=4, sampler=sampler)
    index = next(iter(loader))[0]
    sampler.loss(index, torch.ones(4))
    following = torch.tensor(list(sampler))
    assert set(index.tolist()) <= set(following.tolist())
    sampler.loss(following, torch.ones(10))
    assert sampler.told[0].tolist() == following.tolist()


def test_a_non_finite_loss_is_refused_or_left_out():
    sampler = RuleSampler(infobatch(), seeded())
    index = torch.tensor(list(sampler))
    losses = torch.ones(31)
    losses[3] = torch.nan
    with pytest.raises(NonFiniteLossError, match=rf"epoch 1, step 1, for samples \[{index[3]}\]"):
        sampler.loss(index, losses)
    before = sampler.rule.scores.clone()
    assert not sampler.loss(index, losses, on_nonfinite="skip").isfinite()
    assert torch.equal(sampler.rule.scores, before)
    assert len(sampler.told[0]) == 0


class Half(torch.nn.Module):
    """In float16, where 100,000 is infinite."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.ones_(self.linear.weight)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.float16):
            return self.linear(x).squeeze(1).square()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_that_overflows_in_half_precision_is_skipped_and_not_told(accumulate):
    inputs = torch.linspace(0.5, 2, N)[:, None]
    inputs[7] = 1e5
    sampler, model = RuleSampler(infobatch(), seeded()), Half()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    before, weights, groups = sampler.rule.scores.clone(), [1.0], [[]]
    for index in torch.tensor(list(sampler)).split(6):
        losses = model(inputs[index])
        assert losses.dtype == torch.float16
        loss = sampler.loss(index, losses, accumulate=accumulate, on_nonfinite="skip")
        scaler.scale(loss).backward()
        groups[-1] += index.tolist()
        if sampler.group_complete:
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            weights.append(model.linear.weight.item())
            groups.append([])
    told = sampler.told[0].tolist()
    spoilt = [7 in group for group in groups[:-1]]
    assert sum(spoilt) == 1
    for k, group in enumerate(groups[:-1]):
        assert (weights[k + 1] == weights[k]) == spoilt[k]
        assert bool(set(group) & set(told)) != spoilt[k]
        if spoilt[k]:
            assert torch.equal(sampler.rule.scores[group], before[group])
    assert sampler.rule.scores.isfinite().all()


def test_losses_that_are_finite_are_told_though_a_scaled_gradient_overflows():
    """They are those of the model, whatever the scale; the step is skipped all the same."""
    sampler, model = RuleSampler(infobatch(), seeded()), Half()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    index = torch.tensor(list(sampler))
    losses = model(torch.ones(len(index), 1))
    scaler.scale(sampler.loss(index, losses, on_nonfinite="skip")).backward()
    scaler.step(optimizer)
    scaler.update()
    assert model.linear.weight.item() == 1
    assert scaler.get_scale() == 2.0**39
    assert sampler.told[0].tolist() == index.tolist()


def test_a_grad_scaler_skips_a_step_that_overflows_and_no_score_is_written():
    sampler = RuleSampler(infobatch(), seeded())
    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    before, steps = sampler.rule.scores.clone(), []
    for k, index in enumerate(torch.tensor(list(sampler)).split(10)):
        losses = weight * (torch.inf if k == 1 else 1.0) * torch.ones(len(index))
        optimizer.zero_grad()
        old = weight.item()
        scaler.scale(sampler.loss(index, losses, on_nonfinite="skip")).backward()
        scaler.step(optimizer)
        scaler.update()
        steps.append((index, weight.item() != old))
    assert [moved for _, moved in steps] == [True, False, True, True]
    skipped = steps[1][0]
    assert torch.equal(sampler.rule.scores[skipped], before[skipped])
    assert len(sampler.told[0]) == 31 - 10


@pytest.mark.parametrize("passed", [True, False])
def test_own_weights_in_the_loss_make_it_unbiased_for_the_weighted_mean(passed):
    """For (1/n) sum_i u_i loss_i, by a test of each of 3 coordinates over 300 passes: a correct one
    is beyond 5 standard errors with probability 3e-6. Unless the weights are in the loss it is."""
    own = torch.linspace(0.1, 3, N, dtype=torch.float64)
    theta = torch.zeros(cases.DIM, dtype=torch.float64, requires_grad=True)
    whole = own * cases.losses_at(theta, torch.arange(N))
    (wanted,) = torch.autograd.grad(whole.mean(), theta)
    rule, generator, found = rule_named("orderdp-unbiased"), seeded(7), []
    for _ in range(300):
        rule.scores.copy_(cases.Y.square())  # told its losses, it would go on from others
        sampler = RuleSampler(rule, generator)
        index = sampler.draw().mine
        losses = cases.losses_at(theta, index) * (own[index] if passed else 1.0)
        found.append(torch.autograd.grad(sampler.loss(index, losses), theta)[0])
    rows = torch.stack(found)
    off = (rows.mean(0) - wanted).abs() / (rows.std(0) / len(rows) ** 0.5)
    assert bool((off < 5).all()) == passed


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(3))


def test_what_cannot_work_is_said_in_one_line():
    sampler = RuleSampler(RandomSubset(N, 20), seeded())
    data = WithIndex(range(N))
    ones = torch.ones(4)

    def batch(dataset, sampler=sampler):
        return next(iter(DataLoader(dataset, batch_size=4, sampler=sampler)))[0]

    reordered = Subset(data, torch.randperm(N, generator=seeded(3)).tolist())
    with pytest.raises(ValueError, match="reordered or filtered copy"):
        sampler.loss(batch(reordered), ones)
    on_top = BatchSampler(list(sampler)[::2], 4, False)  # what a second sampler would do
    with pytest.raises(ValueError, match="a sampler of its own on top"):
        sampler.loss(torch.tensor(next(iter(on_top))), ones)
    with pytest.raises(ValueError, match="where none come next"):
        RuleSampler(FullData(N), seeded()).loss(torch.arange(4), ones)
    with pytest.raises(ValueError, match="index that WithIndex gives"):
        sampler.loss(torch.randn(4, 3), ones)
    with pytest.raises(ValueError, match="index that WithIndex gives"):
        sampler.loss(ones, ones)
    with pytest.raises(ValueError, match=r"\(\) is not one loss for each of 4 samples"):
        sampler.loss(batch(data), ones.mean())
    for length, workers in ((N - 1, 0), (N + 1, 2)):
        other = DataLoader(WithIndex(range(length)), 4, sampler=sampler, num_workers=workers)
        with pytest.raises(ValueError, match=f"from {N} samples and the data set has {length}"):
            next(iter(other))
        grouped = DataLoader(WithIndex(range(length)), batch_sampler=sampler.batches(by_target(4)))
        with pytest.raises(ValueError, match=f"from {N} samples and the data set has {length}"):
            next(iter(grouped))
    with pytest.raises(ValueError, match="Stream cannot be asked for sample i"):
        WithIndex(Stream())
    passes = iter(DataLoader(data, batch_size=4, sampler=sampler))
    sampler.loss(next(passes)[0][:3], torch.ones(3), accumulate=2)
    index = torch.tensor(list(sampler))
    sampler.loss(index[:3], torch.ones(3), accumulate=2)
    with pytest.raises(ValueError, match="must be of one size"):
        sampler.loss(index[3:10], torch.ones(7), accumulate=2)


def test_samples_get_an_index_whatever_they_are():
    assert WithIndex([5, 6])[1] == (1, 6)
    assert WithIndex([(5, 7)])[0] == (0, 5, 7)
    assert WithIndex([{"x": 5}])[0] == {"x": 5, "index": 0}
    assert len(WithIndex([5, 6])) == 2


def test_the_readme_snippet_runs_as_shown():
    """The first Python block of its section, run as it stands, trains on 30 % and learns scores."""
    section = README.read_text(encoding="utf-8").split(
        "## Three lines in your own training script"
    )[1]
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
