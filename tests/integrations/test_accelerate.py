"""accelerate: two processes train what one does, and a second split is refused."""

import pytest
import torch
from torch.utils.data import DataLoader

from tests.integrations.processes import results, torchrun
from tests.training.sampler_cases import Y, by_target, close, plainly, rule_named

accelerate = pytest.importorskip("accelerate", reason="needs orderdp[accelerate]")

from tests.integrations.framework_cases import Accelerated, looked_at  # noqa: E402


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return results("accelerate", tmp_path_factory.mktemp("accelerate"))


@pytest.mark.parametrize("name", ["orderdp", "infobatch"])
def test_two_processes_train_what_one_does_with_twice_the_batch(two, name):
    for mine in two:
        close(mine[name], plainly(name, 10))


def test_accumulated_batches_are_one_batch(two):
    close(Accelerated("infobatch", 4, accumulate=3).run().result(), plainly("infobatch", 12))
    for mine in two:
        close(mine["accumulate"], plainly("infobatch", 20))


def test_a_training_continues_in_the_middle_of_a_pass(two, tmp_path):
    whole = Accelerated("infobatch", 10).run().result()
    first = Accelerated("infobatch", 10).run(stop=6)
    first.accelerator.save_state(tmp_path)
    second = Accelerated("infobatch", 10, seed=99)
    second.accelerator.load_state(tmp_path)
    second.run()
    assert torch.equal(second.result()["theta"], whole["theta"])
    assert torch.equal(second.result()["scores"], whole["scores"])
    for mine in two:
        assert torch.equal(mine["continued"]["theta"], mine["infobatch"]["theta"])


def test_a_batch_sampler_of_the_users_composes():
    from orderdp_train import RuleSampler, WithIndex
    from orderdp_train.integrations.accelerate import prepare

    sampler = RuleSampler(rule_named("orderdp"), torch.Generator().manual_seed(1))
    batches = sampler.batches(by_target(6))
    loader = DataLoader(WithIndex(Y), batch_sampler=batches)
    seen = []
    for index, targets in prepare(accelerate.Accelerator(cpu=True), loader):
        assert torch.equal(targets, Y[index])
        sampler.loss(index, targets.square())
        seen += targets.tolist()
    assert seen == sorted(seen)
    assert len(seen) == rule_named("orderdp").budget


def test_a_second_split_is_refused(tmp_path):
    done = torchrun("direct", tmp_path)
    assert done.returncode
    assert "a framework put a sampler of its own on top" in done.stderr


def test_a_loader_without_the_rules_sampler_is_refused():
    from orderdp_train.integrations.accelerate import prepare

    with pytest.raises(ValueError, match="the loader has no RuleSampler"):
        prepare(accelerate.Accelerator(cpu=True), DataLoader(range(3)))


def test_data_of_another_length_and_a_model_in_shards_are_refused(monkeypatch):
    from accelerate.utils import DistributedType

    from orderdp_train import RuleSampler, WithIndex
    from orderdp_train.integrations.accelerate import prepare

    accelerator = accelerate.Accelerator(cpu=True)
    sampler = RuleSampler(rule_named("random"), torch.Generator())
    loader = DataLoader(WithIndex(Y[:7]), sampler=sampler)
    with pytest.raises(ValueError, match="from 41 samples and the data set has 7"):
        prepare(accelerator, loader)
    # On the CPU accelerate itself ignores FSDP's plugin, and takes no other way to shard.
    for kind in (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM):
        monkeypatch.setattr(accelerator.state, "distributed_type", kind)
        with pytest.raises(ValueError, match=f"does not work with {kind.value} or a"):
            prepare(accelerator, loader)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_audit_during_training_changes_nothing(accumulate):
    from orderdp_train.integrations.accelerate import AuditCallback

    found = []
    whole = Accelerated("orderdp", 5, accumulate=accumulate).run().result()
    training = Accelerated("orderdp", 5, accumulate=accumulate)
    look, steps = looked_at(training.sampler.rule, found), []

    def noted(model):
        steps.append(training.steps)
        look(model)

    training.watch = AuditCallback(training.accelerator, noted, {0, 3, 7})
    watched = training.run().result()
    assert steps == [0, 3, 7]
    assert torch.equal(watched["theta"], whole["theta"])
    assert torch.equal(watched["scores"], whole["scores"])
    assert found[0].rules[0].bias < 1e-9 < found[2].rules[0].bias
