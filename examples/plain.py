"""A selection rule in a plain training loop: the three lines that change are marked."""

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from orderdp_train import RuleSampler, WithIndex, build_rule, load_data
from orderdp_train.models import model_for

digits = load_data("digits", label_noise=0.2)
dataset = TensorDataset(digits.normalise(digits.train_images), digits.train_labels)
torch.manual_seed(0)
model = model_for("cnn", digits)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

rule = build_rule("infobatch", len(dataset))  # how many it keeps depends on the losses
sampler = RuleSampler(rule, torch.Generator().manual_seed(0))  # 1: make the sampler
loader = DataLoader(WithIndex(dataset), batch_size=32, sampler=sampler)  # 2: give it to the loader
# The number of steps is not known beforehand; the fraction of passes is.
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1 - sampler.progress / 6)

for _ in range(6):
    kept = 0
    for index, images, labels in loader:
        losses = cross_entropy(model(images), labels, reduction="none")
        loss = sampler.loss(index, losses)  # 3: the weighted mean; the rule learns
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        kept += len(index)
    print(f"pass {sampler.progress:.0f}: trained {kept} of {len(dataset)}, loss {loss:.3f}")

test = digits.normalise(digits.test_images)
accuracy = (model(test).argmax(1) == digits.test_labels).float().mean()
print(f"test accuracy {accuracy:.1%}")
