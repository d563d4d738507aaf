"""What a GPU does: images a second, epochs by kept fraction, selection in a step, audits, memory.

The bare loop has the same model, precision, layout, optimizer and batches, on resident data. Prints
one line where there is no CUDA device.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F

from benchmarks.common import Ratio, duration, report
from orderdp_theory import Design
from orderdp_train import OrderDP, RuleConfig, RuleSampler, audit, train
from orderdp_train.auditing.population import population_of_images
from orderdp_train.data import DataSet, synthetic
from orderdp_train.models import build_model
from orderdp_train.training.presets import default_recipe
from orderdp_train.training.recipe import Recipe

IMAGENET = 1_281_167
GPU = torch.device("cuda")
ROUNDS = 3


def timed(function: Callable[[], object]) -> float:
    """The shortest of a few times, the device's work included."""
    shortest = float("inf")
    for _ in range(ROUNDS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        function()
        torch.cuda.synchronize()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest


def resident(count: int, size: int, classes: int) -> DataSet:
    generator = torch.Generator().manual_seed(0)
    data = synthetic.make(count, 64, generator, num_classes=classes, image_size=size)
    return data.to(GPU)


def bare_epoch(model: torch.nn.Module, data: DataSet, recipe: Recipe) -> Callable[[], None]:
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, fused=True)

    def epoch() -> None:
        order = torch.randperm(data.num_train, device=GPU)
        generator = torch.Generator().manual_seed(0)
        for indices in order.split(recipe.batch_size):
            images = data.augmentation(data.train_images[indices], generator)
            images = data.normalise(images).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cuda", dtype=torch.bfloat16):
                logits = model(images)
            loss = F.cross_entropy(logits.float(), data.train_labels[indices], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def trained(
    name: str, data: DataSet, recipe: Recipe, rule: RuleConfig, steps: int | None = None
) -> float:
    """Seconds of an epoch, the second and later ones of a training."""
    model = built(name, data)
    epochs = train(
        model,
        data,
        rule.build(data.num_train, device=GPU),
        replace(recipe, epochs=ROUNDS + 1, optimizer="sgd", max_lr=0.01),
        steps_per_epoch=steps,
        evaluated=False,
    )
    next(epochs)
    return timed(partial(next, epochs))


def built(name: str, data: DataSet) -> torch.nn.Module:
    torch.manual_seed(0)
    classes, size = data.num_classes, data.image_size
    return build_model(name, in_channels=3, num_classes=classes, image_size=size).to(GPU)


def speed(a_second: dict[str, float]) -> Iterator[Ratio]:
    """Notes in `a_second` the images that a training on full data takes, by model."""
    shapes = (("resnet18", "cifar10", 50_000, 32, 10), ("resnet50", "imagenet", 8_192, 224, 1000))
    for name, kind, count, size, classes in shapes:
        data, recipe = resident(count, size, classes), default_recipe(kind, name, "cuda")
        recipe = replace(recipe, batch_size=min(recipe.batch_size, 256))
        with torch.backends.cudnn.flags(enabled=True, benchmark=True):
            bare = bare_epoch(built(name, data), data, recipe)
            bare()
            plain = timed(bare)
        torch.cuda.reset_peak_memory_stats()
        full = trained(name, data, recipe, RuleConfig("full"))
        a_second[name] = count / full
        memory = torch.cuda.max_memory_allocated() / 2**30
        yield Ratio(
            f"images a second, {name}, {count:,} of {size}×{size}, peak {memory:.1f} GiB",
            f"full data {count / full:,.0f}/s",
            f"bare loop {count / plain:,.0f}/s",
            plain / full,
            at_least=0.97,
        )
        for keep in (0.1, 0.3, 0.7):
            rule = RuleConfig("orderdp", {"keep": keep, "explore": max(keep, 0.5)})
            pruned = trained(name, data, recipe, rule)
            yield Ratio(
                f"time of an epoch, {name}, {keep:.0%} kept",
                f"orderdp {duration(pruned)}",
                f"full data {duration(full)}",
                pruned / full,
                at_most=round(keep + 0.03, 2),
            )


def selection(a_second: float) -> Iterator[Ratio]:
    """Selection, order and update of an epoch, and of a step, as part of the training of theirs."""
    everything, losses = torch.arange(IMAGENET, device=GPU), torch.rand(IMAGENET, device=GPU)
    for name in ("orderdp", "orderdp-unbiased"):
        of_step, _ = RuleConfig(name).per_step(IMAGENET, 256)
        of_epoch = RuleConfig(name, {"keep": 0.3})
        for what, config, batch in (("an epoch", of_epoch, 1024), ("a step of 256", of_step, 256)):
            rule = config.build(IMAGENET, device=GPU)
            rule.update(everything, losses)
            sampler = RuleSampler(rule, torch.Generator().manual_seed(0), index_device=GPU)

            def once(sampler: RuleSampler = sampler, batch: int = batch) -> None:
                this = sampler.draw(batch_size=batch)
                for indices in this.batches():
                    sampler.next_loss(this, torch.ones(len(indices), device=GPU))

            once()
            ours, images = timed(once), rule.budget or IMAGENET
            yield Ratio(
                f"selection and update of {what}, n = {IMAGENET:,}",
                f"{name} {duration(ours)}",
                f"training its {images:,} images, resnet50 {duration(images / a_second)}",
                ours * a_second / images,
                at_most=0.01,
            )


def audits() -> Iterator[Ratio]:
    data, recipe = resident(10_000, 32, 10), default_recipe("cifar10", "resnet18")
    model = built("resnet18", data).eval()
    population = population_of_images(data, recipe)
    rule = OrderDP(Design.from_ratios(data.num_train), device=GPU)
    rule.update(torch.arange(data.num_train, device=GPU), torch.rand(data.num_train, device=GPU))

    def one_pass() -> None:
        for indices in torch.arange(data.num_train).split(256):
            losses = population.losses(model, indices)
            torch.autograd.grad(losses.sum(), list(model.parameters()))

    run = partial(audit, model, population, [rule], batch_size=256)
    parts = {
        "audit of a design": (partial(run, draws=0, moments=False), 2.0),
        "the default audit, covariances and test included": (run, 2.5),
    }
    one_pass()
    single = timed(one_pass)
    for name, (audited, at_most) in parts.items():
        audited()
        whole = timed(audited)
        yield Ratio(
            f"{name}, resnet18, n = {data.num_train:,}",
            f"audit {duration(whole)}",
            f"one plain pass {duration(single)}",
            whole / single,
            at_most=at_most,
        )


def main() -> None:
    if not torch.cuda.is_available():
        print("There is no CUDA device here: nothing was measured.")
        return
    versions = f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}"
    print(f"{torch.cuda.get_device_name()}, {versions}\n")
    report(ratios())


def ratios() -> Iterator[Ratio]:
    a_second: dict[str, float] = {}
    yield from speed(a_second)
    yield from selection(a_second["resnet50"])
    yield from audits()


if __name__ == "__main__":
    main()
