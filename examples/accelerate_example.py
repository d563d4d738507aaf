"""Hugging Face accelerate, with gradient accumulation, in one process or several.

accelerate launch --cpu --num_processes=2 examples/accelerate_example.py
"""

import torch
from accelerate import Accelerator
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from orderdp_train import RuleSampler, WithIndex, build_rule, load_data
from orderdp_train.integrations.accelerate import prepare, weighted_loss
from orderdp_train.models import model_for

accelerator = Accelerator(gradient_accumulation_steps=2)
digits = load_data("digits", label_noise=0.2)
dataset = TensorDataset(digits.normalise(digits.train_images), digits.train_labels)
torch.manual_seed(0)
model = model_for("cnn", digits)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

rule = build_rule("orderdp", len(dataset), keep=0.3)
sampler = RuleSampler(rule, torch.Generator().manual_seed(0))
loader = DataLoader(WithIndex(dataset), batch_size=8, sampler=sampler)
model, optimizer = accelerator.prepare(model, optimizer)
loader = prepare(accelerator, loader)  # accelerator.prepare would split it a second time

for _ in range(5):
    for index, images, labels in loader:
        with accelerator.accumulate(model):
            losses = cross_entropy(model(images), labels, reduction="none")
            loss = weighted_loss(accelerator, sampler, index, losses)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
    indices, losses = sampler.told
    accelerator.print(f"{len(indices)} samples trained, mean loss {losses.mean():.3f}")
accelerator.end_training()
