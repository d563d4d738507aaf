"""Lightning: processes, accumulation, checkpoints in the middle of an epoch, refusals."""

import pytest
import torch

from tests.integrations.processes import results
from tests.training.sampler_cases import close, plainly, rule_named

L = pytest.importorskip("lightning", reason="needs orderdp[lightning]")

from lightning.pytorch.demos.boring_classes import BoringModel  # noqa: E402

from tests.integrations.framework_cases import lightning_training, looked_at  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return results("lightning", tmp_path_factory.mktemp("lightning"))


@pytest.mark.parametrize("name", ["orderdp", "infobatch"])
def test_lightning_trains_what_is_written_out(two, name):
    close(lightning_training(name, 10), plainly(name, 10))
    for mine in two:
        close(mine[name], plainly(name, 10))


def test_accumulated_batches_are_one_batch(two):
    for name in ("orderdp", "infobatch"):  # of InfoBatch the last group is not known beforehand
        close(lightning_training(name, 4, accumulate=3), plainly(name, 12))
    for mine in two:
        close(mine["accumulate"], plainly("orderdp", 20))


@pytest.mark.parametrize(
    ("name", "accumulate"), [("orderdp", 1), ("orderdp", 2), ("infobatch", 1), ("infobatch", 2)]
)
def test_a_checkpoint_continues_bit_for_bit(tmp_path, name, accumulate):
    """From each of its steps, in the middle of a pass and at its end."""
    whole = lightning_training(name, 7, accumulate=accumulate, folder=tmp_path)
    for checkpoint in sorted(tmp_path.iterdir()):
        found = lightning_training(name, 7, accumulate=accumulate, resume=checkpoint, seed=99)
        assert torch.equal(found["theta"], whole["theta"]), checkpoint
        assert torch.equal(found["scores"], whole["scores"])
        assert found["steps"] == whole["steps"]


def test_another_sampler_is_refused():
    from torch.utils.data import DataLoader

    from orderdp_train import RuleSampler
    from orderdp_train.integrations.lightning import SelectionCallback

    sampler = RuleSampler(rule_named("random"), torch.Generator())
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        callbacks=[SelectionCallback(sampler)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    with pytest.raises(ValueError, match="Lightning trains on SequentialSampler instead"):
        trainer.fit(BoringModel(), DataLoader(torch.ones(41, 32)))


def test_data_of_another_length_is_refused():
    from torch.utils.data import DataLoader

    from orderdp_train import RuleSampler, WithIndex
    from orderdp_train.integrations.lightning import SelectionCallback

    sampler = RuleSampler(rule_named("random"), torch.Generator())
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        use_distributed_sampler=False,
        callbacks=[SelectionCallback(sampler)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    with pytest.raises(ValueError, match="from 41 samples and the data set has 7"):
        trainer.fit(BoringModel(), DataLoader(WithIndex(torch.ones(7, 32)), sampler=sampler))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_audit_before_the_steps_asked_for_changes_nothing(accumulate):
    from orderdp_train.integrations.lightning import AuditCallback

    found, steps = [], []

    def watch(sampler):
        look = looked_at(sampler.rule, found)

        def noted(module):
            steps.append(module.global_step)
            look(module.model)

        return AuditCallback(noted, {0, 3, 7})

    whole = lightning_training("orderdp", 5, accumulate=accumulate)
    watched = lightning_training("orderdp", 5, accumulate=accumulate, watch=watch)
    assert steps == [0, 3, 7]
    assert torch.equal(watched["theta"], whole["theta"])
    assert torch.equal(watched["scores"], whole["scores"])
    assert found[0].rules[0].bias < 1e-9 < found[2].rules[0].bias
