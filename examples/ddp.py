"""The same under DistributedDataParallel: nothing about the sampler changes.

torchrun --standalone --nproc-per-node=2 examples/ddp.py
"""

import torch
import torch.distributed as dist
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from orderdp_train import RuleSampler, WithIndex, build_rule, load_data
from orderdp_train.models import model_for


def main() -> None:
    digits = load_data("digits", label_noise=0.2)
    dataset = TensorDataset(digits.normalise(digits.train_images), digits.train_labels)
    torch.manual_seed(0)
    model = DistributedDataParallel(model_for("cnn", digits))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    # One seed in all processes: they draw one selection, and each trains its share.
    rule = build_rule("orderdp", len(dataset), keep=0.3)
    sampler = RuleSampler(rule, torch.Generator().manual_seed(0))
    loader = DataLoader(WithIndex(dataset), batch_size=16, sampler=sampler)
    for _ in range(5):
        for index, images, labels in loader:
            losses = cross_entropy(model(images), labels, reduction="none")
            loss = sampler.loss(index, losses)  # normalised over the batches of all processes
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    indices, losses = sampler.told  # of all processes, the same in all
    if dist.get_rank() == 0:
        print(f"{dist.get_world_size()} processes trained {len(indices)} samples in the last pass")
        print(f"each sample once: {len(indices.unique()) == len(indices)}")
        print(f"mean loss {losses.mean():.3f}")


if __name__ == "__main__":
    dist.init_process_group("gloo")
    main()
    dist.destroy_process_group()
