"""Lightning: processes, accumulation, checkpoints in the middle of an epoch, refusals."""

import pytest
import torch

from tests.integrations.processes import results
from tests.training.sampler_cases import close, plainly, rule_named

L = pytest.importorskip("lightning", reason="needs orderdp[lightning]")

from tests.integrations.framework_cases import lightning_training  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return results("lightning", tmp_path_factory.mktemp("lightning"))


@pytest.mark.parametrize("name", ["orderdp", "infobatch"])
def test_lightning_trains_what_is_written_out(two, name):
    close(lightning_training(name, 10)[1], plainly(name, 10))
    for mine in two:
        close(mine[name], plainly(name, 10))


def test_accumulated_batches_are_one_batch(two):
    close(lightning_training("orderdp", 4, accumulate=3)[1], plainly("orderdp", 12))
    for mine in two:
        close(mine["accumulate"], plainly("orderdp", 20))
    with pytest.raises(ValueError, match="use accumulate_grad_batches=1"):
        lightning_training("infobatch", 4, accumulate=3)


@pytest.mark.parametrize("stop", [3, 5, 8])
@pytest.mark.parametrize("name", ["orderdp", "infobatch"])
def test_a_checkpoint_continues_bit_for_bit(tmp_path, name, stop):
    _, whole = lightning_training(name, 7)
    trainer, _ = lightning_training(name, 7, stop=stop)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    _, found = lightning_training(name, 7, resume=tmp_path / "a.ckpt", seed=99)
    assert torch.equal(found["theta"], whole["theta"])
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
        trainer.fit(L.pytorch.demos.boring_classes.BoringModel(), DataLoader(torch.ones(41, 32)))


def test_an_audit_is_made_before_the_steps_asked_for():
    from orderdp_train.integrations.lightning import AuditCallback

    seen = []
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        accumulate_grad_batches=2,
        callbacks=[AuditCallback(lambda module: seen.append(trainer.global_step), {0, 2, 3})],
        limit_train_batches=8,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(L.pytorch.demos.boring_classes.BoringModel())
    assert seen == [0, 2, 3]
