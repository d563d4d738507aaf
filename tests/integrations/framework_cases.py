"""The regression of `sampler_cases` in each framework, alone and as two processes.

torchrun --nproc-per-node=2 tests/integrations/framework_cases.py FRAMEWORK FOLDER
"""

import sys
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from orderdp_train import RuleSampler, WithIndex, audit
from tests.training.sampler_cases import DIM, PASSES, X, Y, rule_named


def linear():
    model = nn.Linear(DIM, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    return model


def result(model, sampler, steps):
    scores = getattr(sampler.rule, "scores", torch.zeros(0))
    theta = model.weight.detach().flatten().clone()
    return {"theta": theta, "scores": scores.clone(), "steps": steps}


def loader_of(name, batch, seed=1):
    sampler = RuleSampler(rule_named(name), torch.Generator().manual_seed(seed))
    return sampler, DataLoader(WithIndex(TensorDataset(X, Y)), batch_size=batch, sampler=sampler)


class Accelerated:
    """Trained with accelerate; `directly` gives the loader to `accelerator.prepare`."""

    def __init__(self, name, batch, accumulate=1, directly=False, seed=1, watch=None):
        from accelerate import Accelerator

        from orderdp_train.integrations.accelerate import prepare

        self.accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
        self.sampler, loader = loader_of(name, batch, seed)
        self.model = linear()
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05)
        self.wrapped, self.optimizer = self.accelerator.prepare(self.model, optimizer)
        self.loader = (
            self.accelerator.prepare(loader) if directly else prepare(self.accelerator, loader)
        )
        self.steps = 0
        self.watch = watch or (lambda _: None)

    def run(self, stop=None):
        from orderdp_train.integrations.accelerate import weighted_loss

        while self.sampler.progress < PASSES:
            for index, x, y in self.loader:
                with self.accelerator.accumulate(self.wrapped):
                    self.watch(self.wrapped)
                    losses = (self.wrapped(x).squeeze(1) - y) ** 2
                    loss = weighted_loss(self.accelerator, self.sampler, index, losses)
                    self.accelerator.backward(loss)
                    self.optimizer.step()
                    self.optimizer.zero_grad()
                    self.steps += self.accelerator.sync_gradients
                if self.steps == stop:
                    return self
        return self

    def result(self):
        return result(self.model, self.sampler, self.steps)


def lightning_training(
    name, batch, *, accumulate=1, folder=None, resume=None, seed=1, watch=None, **how
):
    """`folder`: where to keep a checkpoint after every step; `watch(sampler)`: a callback more."""
    import lightning as L
    from lightning.pytorch.callbacks import ModelCheckpoint

    from orderdp_train.integrations.lightning import SelectionCallback

    sampler, loader = loader_of(name, batch, seed)
    selection = SelectionCallback(sampler)

    class Regression(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = linear()

        def training_step(self, batch, batch_idx):
            index, x, y = batch
            return selection.loss(index, (self.model(x).squeeze(1) - y) ** 2)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.05)

    module = Regression()
    keep = ModelCheckpoint(folder, "{step}", every_n_train_steps=1, save_top_k=-1)
    trainer = L.Trainer(
        max_epochs=PASSES,
        accumulate_grad_batches=accumulate,
        use_distributed_sampler=False,
        callbacks=[selection, *([keep] if folder else []), *([watch(sampler)] if watch else [])],
        accelerator="cpu",
        strategy=how.get("strategy")
        or ("ddp" if torch.distributed.is_torchelastic_launched() else "auto"),
        devices=2 if torch.distributed.is_torchelastic_launched() else 1,
        logger=False,
        enable_checkpointing=folder is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader, ckpt_path=resume, weights_only=False)
    return result(module.model, sampler, trainer.global_step)


class Scorer(nn.Module):
    """Two classes from X, by a model that takes Hugging Face's arguments, or its loss's too."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(DIM, 2, bias=False).double()
        nn.init.zeros_(self.linear.weight)

    @property
    def weight(self):
        return self.linear.weight

    def forward(self, x, labels=None):
        logits = self.linear(x)
        if labels is None:
            return {"logits": logits}
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class AcceptsLossArguments(Scorer):
    def forward(self, x, labels=None, **kwargs):
        return super().forward(x, labels)


LABELS = (Y > 0).long()
SAMPLES = [
    {"x": x, "labels": label, "text": "a column that the model does not take"}
    for x, label in zip(X, LABELS, strict=True)
]


def transformers_trainer(name, batch, folder, *, model=None, accumulate=1, rule=None, **arguments):
    from transformers import TrainingArguments

    from orderdp_train.integrations.transformers import SelectiveTrainer

    own = {k: arguments.pop(k) for k in ("sample_losses", "callbacks") if k in arguments}
    how = {
        "num_train_epochs": PASSES,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulate,
        "optim": "sgd",
        "learning_rate": 0.05,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "seed": 1,
        "report_to": [],
        "disable_tqdm": True,
        "save_strategy": "no",
        "use_cpu": True,
        **arguments,
    }
    return SelectiveTrainer(
        model=model or Scorer(),
        args=TrainingArguments(output_dir=str(folder), **how),
        train_dataset=SAMPLES,
        eval_dataset=SAMPLES[:7],
        rule=rule or rule_named(name),
        **own,
    )


def transformers_result(trainer):
    return result(trainer.model, trainer.rule_sampler, trainer.state.global_step)


def accelerate_cases():
    results = {name: Accelerated(name, 5).run().result() for name in ("orderdp", "infobatch")}
    results["accumulate"] = Accelerated("infobatch", 5, accumulate=2).run().result()
    first = Accelerated("infobatch", 5).run(stop=6)
    folder = [tempfile.mkdtemp()]
    torch.distributed.broadcast_object_list(folder)
    first.accelerator.save_state(folder[0])
    second = Accelerated("infobatch", 5, seed=99)
    second.accelerator.load_state(folder[0])
    results["continued"] = second.run().result()
    return results


def direct_cases():
    """A loader given to `accelerator.prepare`, which deals its batches once more."""
    return Accelerated("orderdp", 5, directly=True).run().result()


def transformers_cases():
    results = {}
    for name in ("orderdp", "infobatch"):
        trainer = transformers_trainer(name, 5, tempfile.mkdtemp())
        trainer.train()
        results[name] = transformers_result(trainer)
    trainer = transformers_trainer("infobatch", 5, tempfile.mkdtemp(), accumulate=2)
    trainer.train()
    results["accumulate"] = transformers_result(trainer)
    return results


def lightning_cases():
    results = {name: lightning_training(name, 5) for name in ("orderdp", "infobatch")}
    results["accumulate"] = lightning_training("orderdp", 5, accumulate=2)
    return results


def squared(model, batch):
    """The regression's losses, as `audit` takes them."""
    x, y = batch
    return (model(x).squeeze(1) - y) ** 2


def looked_at(rule, found):
    """What a callback calls: an audit of the regression, added to `found`."""
    return lambda model: found.append(
        audit(model, TensorDataset(X, Y), {name_of(rule): rule}, loss=squared, draws=50)
    )


def name_of(rule):
    return type(rule).__name__


def sharded_cases():
    """What each way to shard a model is answered; DeepSpeed and FSDP's plugin need a GPU."""
    from lightning.pytorch.strategies import ModelParallelStrategy
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = [tempfile.mkdtemp()]
    torch.distributed.init_process_group("gloo")
    torch.distributed.broadcast_object_list(folder)
    if torch.distributed.get_rank() == 0:
        small = {"vocab_size": 16, "hidden_size": 16, "intermediate_size": 16}
        config = LlamaConfig(**small, num_hidden_layers=1, num_attention_heads=2)
        LlamaForCausalLM(config).save_pretrained(folder[0])
    torch.distributed.barrier()
    split = LlamaForCausalLM.from_pretrained(folder[0], tp_plan="auto")
    shards = ModelParallelStrategy(data_parallel_size=1, tensor_parallel_size=2)
    asked = {
        "tensor parallelism": lambda: transformers_trainer("orderdp", 5, folder[0], model=split),
        "FSDP": lambda: transformers_trainer("orderdp", 5, folder[0], fsdp=True),
        "Lightning": lambda: lightning_training("orderdp", 5, strategy=shards),
    }
    said = {"local part": split.model.layers[0].mlp.up_proj.weight.to_local().numel()}
    for name, start in asked.items():
        try:
            start()
        except ValueError as error:
            said[name] = str(error)
    return said


if __name__ == "__main__":
    framework, folder = sys.argv[1:]
    found = globals()[f"{framework}_cases"]()
    torch.save(found, Path(folder) / f"{torch.distributed.get_rank()}.pt")
    torch.distributed.destroy_process_group()
