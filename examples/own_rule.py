"""A rule of your own: trained with, and audited against the expectation that it states."""

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from orderdp_train import RuleSampler, ScoredRule, WithIndex, audit, load_data
from orderdp_train.models import model_for


class HalfHardest(ScoredRule):
    """Half the budget by the largest stored losses, the other half at random from the rest."""

    def __init__(self, n: int, half: int) -> None:
        super().__init__(n, initial_score=torch.inf, device="cpu")
        self.half, self.budget = half, 2 * half

    def select(self, generator):
        shuffled = torch.randperm(self.n, generator=generator)  # breaks ties at random
        order = shuffled[self.scores[shuffled].argsort(descending=True, stable=True)]
        rest = self.half + torch.randperm(self.n - self.half, generator=generator)[: self.half]
        return torch.cat([order[: self.half], order[rest]]), torch.ones(self.budget)

    def expected_weights(self, scores=None):
        scores = self.scores if scores is None else scores
        chance = torch.full((self.n,), self.half / (self.n - self.half), dtype=torch.float64)
        chance[: self.half] = 1
        _, group = torch.unique(-scores, return_inverse=True)  # tied samples share their chance
        ranked = group[scores.argsort(descending=True, stable=True)]
        mean = torch.zeros(len(group.unique()), dtype=torch.float64)
        mean = mean.index_add(0, ranked, chance) / torch.bincount(group)
        return mean[group] / self.budget


digits = load_data("digits", label_noise=0.2)
dataset = TensorDataset(digits.normalise(digits.train_images), digits.train_labels)
torch.manual_seed(0)
model = model_for("cnn", digits)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
rule = HalfHardest(len(dataset), 225)
sampler = RuleSampler(rule, torch.Generator().manual_seed(0))
for _ in range(4):
    for index, x, y in DataLoader(WithIndex(dataset), batch_size=32, sampler=sampler):
        loss = sampler.loss(index, cross_entropy(model(x), y, reduction="none"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

found = audit(model, dataset, {"half the hardest": rule}, draws=100).rules[0]
print(f"cosine {found.cosine:.3f}, scale {found.scale:.3f}, bias {found.bias:.3f}")
print(f"code and statement {'differ' if found.agreement.alarm else 'agree'}")
