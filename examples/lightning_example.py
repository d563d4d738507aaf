"""Lightning: a callback, and its loss in `training_step`."""

import lightning as L
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from orderdp_train import RuleSampler, WithIndex, build_rule, load_data
from orderdp_train.integrations.lightning import SelectionCallback
from orderdp_train.models import model_for

digits = load_data("digits", label_noise=0.2)
dataset = TensorDataset(digits.normalise(digits.train_images), digits.train_labels)
rule = build_rule("orderdp", len(dataset), keep=0.3)
sampler = RuleSampler(rule, torch.Generator().manual_seed(0))
selection = SelectionCallback(sampler)


class Digits(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = model_for("cnn", digits)

    def training_step(self, batch, batch_idx):
        index, images, labels = batch
        losses = cross_entropy(self.model(images), labels, reduction="none")
        return selection.loss(index, losses)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


torch.manual_seed(0)
trainer = L.Trainer(
    max_epochs=5,
    accumulate_grad_batches=2,
    use_distributed_sampler=False,  # the rule's sampler knows processes itself
    callbacks=[selection],
    accelerator="cpu",
    devices=1,
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Digits(), DataLoader(WithIndex(dataset), batch_size=16, sampler=sampler))
indices, losses = sampler.told
print(f"{trainer.global_step} steps; last pass: {len(indices)} samples, loss {losses.mean():.3f}")
