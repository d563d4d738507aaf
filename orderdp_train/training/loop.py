"""The training loop, top to bottom."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from orderdp_train.data import TrainTestData
from orderdp_train.devices import sent
from orderdp_train.rules import Scorer, SelectionRule
from orderdp_train.rules.base import samples_of
from orderdp_train.training.finite import check_weights
from orderdp_train.training.mixing import augmented, hits, mix, sample_losses
from orderdp_train.training.optim import follow
from orderdp_train.training.processes import (
    all_reduce_sum,
    gather_vectors,
    replicated,
    shard,
    share_buffers,
)
from orderdp_train.training.recipe import Recipe
from orderdp_train.training.sampler import RuleSampler, check_length
from orderdp_train.training.state import TrainState

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Epoch:
    """What one epoch did. Gradient norms are those of the minibatch gradients, over the steps.

    Example:
        >>> data, recipe = load_data("digits"), Recipe(epochs=2, batch_size=64, max_lr=0.01)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> first, second = train(model, data, FullData(1500), recipe)
        >>> second.loss < first.loss, second.jaccard  # the overlap of two selections
        (True, 1.0)
    """

    number: int  # epochs trained so far, from 1
    loss: float  # mean training loss of the kept samples as they were used
    test_accuracy: float
    grad_norm_mean: float
    grad_norm_std: float
    kept: int  # samples trained on, repetitions included
    jaccard: float | None  # similarity of the set of kept samples to the previous epoch's
    seconds_selection: float
    seconds_training: float
    seconds_evaluation: float
    state: TrainState = field(repr=False)


def train(
    model: nn.Module,
    data: TrainTestData,
    rule: SelectionRule,
    recipe: Recipe,
    *,
    seed: int = 0,
    steps_per_epoch: int | None = None,
    resume: dict[str, Any] | None = None,
    evaluated: bool = True,
    frozen: bool = False,
    on_step: Callable[[Tensor], Any] = lambda _: None,
) -> Iterator[Epoch]:
    """Train `model` in place on its own device, and stop the clock after every epoch.

    The caller has the floor between epochs: it may look at the model and the rule, run audits,
    save `epoch.state.state_dict()`, or stop asking. `resume` continues from such a state.
    On the CPU the result is a function of the arguments, bit for bit.

    `steps_per_epoch`: None selects once an epoch and shuffles the selection into minibatches, as
    the released code does. A number is Algorithm 1: each of that many steps an epoch makes a
    selection of its own and trains on all of it, so the rule's budget is the batch size and the
    recipe's `batch_size` has no part in it.

    Unless `evaluated`, test accuracies are NaN. `frozen`: the model stays as it is, buffers
    included; only the rule learns, just what it would at learning rate 0, and no gradient is taken
    (norms are 0). `on_step` is told the indices of each batch at the moment at which the model is
    about to see it.

    The host never waits for a GPU within an epoch, but for the indices of a selection where it
    decodes or augments the images. Raises `NonFiniteLossError` naming epoch, step and some samples:
    on the CPU before a bad gradient is applied, on a GPU a few steps later, and always before the
    epoch ends.

    Example:
        >>> data, recipe = load_data("digits"), Recipe(epochs=2, batch_size=64, max_lr=0.01)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> rule = OrderDP(Design(1500, 750, 450))
        >>> [epoch.kept for epoch in train(model, data, rule, recipe)]
        [450, 450]
    """
    check_length(rule.n, data.num_train)
    data = augmented(data, recipe)
    if recipe.channels_last:
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    state = TrainState(model, rule, recipe, seed)
    if resume is not None:
        state.load_state_dict(resume)
    device, pixels = state.device, state.pixels
    parameters = [p for p in model.parameters() if p.requires_grad]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()] if frozen else []
    sampler = RuleSampler(rule, state.draws, index_device=data.index_device)
    selections = steps_per_epoch or 1
    batch_size = rule.n if steps_per_epoch else recipe.batch_size
    one_shape = recipe.compile or device.type == "cuda"  # kernels are chosen for a shape

    with replicated(model) as forward, _benchmarked(device):
        if recipe.compile:
            forward = torch.compile(forward)
        while state.epoch < recipe.epochs:
            clock = _Clock(device)
            norms: list[Tensor] = []
            seen: list[tuple[Tensor, Tensor]] = []
            model.train()

            for selection in range(selections):
                with clock("selection"):
                    sampler.set_epoch(state.epoch)
                    this = sampler.draw(batch_size=batch_size)
                batches = this.batches()
                filled = map(_filler(batches), batches) if one_shape else batches
                with clock("training"):
                    loaded = data.batches(filled, "train", pixels)
                    for step, (indices, (_, images, labels)) in enumerate(
                        zip(batches, loaded, strict=True)
                    ):
                        done = (selection + step / len(batches)) / selections
                        follow(state.optimizer, recipe, (state.epoch + done) / recipe.epochs)
                        on_step(indices)
                        images, share = mix(images, recipe, pixels)
                        if recipe.channels_last:
                            images = images.contiguous(memory_format=torch.channels_last)
                        with _autocast(device, recipe), torch.set_grad_enabled(not frozen):
                            outputs = forward(images, *_noise(model, images, pixels))
                        losses = sample_losses(outputs, labels, recipe.label_smoothing, share)
                        loss = sampler.next_loss(this, losses[: len(indices)])
                        if frozen:
                            for buffer, value in buffers:
                                buffer.copy_(value)
                            norms.append(torch.zeros((), device=device))
                            continue
                        state.optimizer.zero_grad()
                        state.scaler.scale(loss).backward()
                        state.scaler.unscale_(state.optimizer)
                        norms.append(_norm(parameters))
                        if not state.scaler.is_enabled():  # which skips a step that overflows
                            at = f"epoch {state.epoch + 1}, step {len(norms)}"
                            what = f"the gradient is not finite at {at}"
                            sampler.watch.see(norms[-1], indices, what)
                        if recipe.clip:
                            nn.utils.clip_grads_with_norm_(parameters, recipe.clip, norms[-1])
                        state.scaler.step(state.optimizer)
                        state.scaler.update()
                        state.count_step()
                share_buffers(model)  # the next selection may score, and the epoch's end evaluates
                seen.append(sampler.told)

            sampler.watch.settle()
            check_weights(model, state.epoch + 1)
            share_buffers(state.evaluated)
            indices, losses = (torch.cat(v) for v in zip(*seen, strict=True))
            with clock("evaluation"):
                accuracy = evaluate(state.evaluated, data, recipe) if evaluated else math.nan
            grad_norms = torch.stack(norms)
            grad_norms = grad_norms[grad_norms.isfinite()]  # fp16 skips steps that overflow
            counts = torch.bincount(indices, minlength=rule.n)
            jaccard = _jaccard(counts > 0, state.previous) if state.epoch else None
            state.usage += counts
            state.previous = counts > 0
            state.epoch += 1
            yield Epoch(
                number=state.epoch,
                loss=float(losses.double().mean()),
                test_accuracy=accuracy,
                grad_norm_mean=float(grad_norms.mean()),
                grad_norm_std=float(grad_norms.std(correction=0)),
                kept=len(indices),
                jaccard=jaccard,
                seconds_selection=clock.seconds("selection"),
                seconds_training=clock.seconds("training"),
                seconds_evaluation=clock.seconds("evaluation"),
                state=state,
            )


@torch.no_grad()
def evaluate(model: nn.Module, data: TrainTestData, recipe: Recipe) -> float:
    """Accuracy on the test split, with the model in eval mode; every process does its part.

    It is the mean of `hits`, which says what that is for text and for masked autoencoders.
    """
    device = next(model.parameters()).device
    right = torch.zeros(1, device=device)
    with _eval_mode(model):
        rows = shard(torch.arange(data.num_test)).split(EVAL_BATCH)
        for _, images, labels in data.batches(rows, "test"):
            with _autocast(device, recipe):
                outputs = model(images)
            right += hits(outputs, labels).sum()
    return float(all_reduce_sum(right)) / data.num_test


EVAL_BATCH = 512


@torch.no_grad()
def losses_of(
    model: nn.Module, data: TrainTestData, indices: Int64[Tensor, "b"], recipe: Recipe
) -> Float[Tensor, "b"]:
    """Present losses, float32 `(b,)`, of training samples: plain images, model in eval mode.

    Normalisation layers then use their running statistics, so a loss depends on its sample alone.

    Example:
        >>> data = load_data("digits")
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> losses_of(model, data, torch.arange(5), RECIPES["smoke"]).shape
        torch.Size([5])
    """
    if not (isinstance(model, nn.Module) and isinstance(recipe, Recipe)):
        raise TypeError(f"need a module and a recipe, got {model!r} and {recipe!r}")
    if not hasattr(data, "batches"):
        raise TypeError(f"data must be a data set of orderdp_train, got {data!r}")
    indices = samples_of("indices", indices, data.num_train)
    device = next(model.parameters()).device
    losses = [torch.zeros(0, device=device)]
    with _eval_mode(model):
        for _, images, labels in data.batches(indices.split(EVAL_BATCH), "train"):
            with _autocast(device, recipe):
                outputs = model(images)
            losses.append(sample_losses(outputs, labels, recipe.label_smoothing))
    return torch.cat(losses)


def fresh_scorer(model: nn.Module, data: TrainTestData, recipe: Recipe) -> Scorer:
    """Scores for `OrderDP(scorer=...)`: present losses, to which every process adds its part.

    Example:
        >>> data = load_data("digits")
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> scorer = fresh_scorer(model, data, RECIPES["smoke"])
        >>> scorer(torch.arange(5)).shape
        torch.Size([5])
        >>> len(FreshOrderDP(Design(1500, 30, 10), scorer=scorer).select(torch.Generator())[0])
        10
    """
    return lambda indices: gather_vectors(losses_of(model, data, shard(indices), recipe))


def _noise(model: nn.Module, images: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
    """What a model draws for a batch beside dropout, as a masked autoencoder its masks."""
    draw = getattr(model, "noise", None)
    return () if draw is None else (sent(draw(len(images), generator), images.device),)


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _autocast(device: torch.device, recipe: Recipe) -> torch.autocast:
    dtype = AUTOCAST[recipe.precision]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def _filler(batches: tuple[Tensor, ...]) -> Callable[[Tensor], Tensor]:
    """Makes all batches as long as the longest by their own first sample, whose loss is cut off."""
    longest = max(map(len, batches))
    return lambda batch: torch.cat([batch, batch[:1].expand(longest - len(batch))])


@contextmanager
def _benchmarked(device: torch.device) -> Iterator[None]:
    """Let cuDNN try its kernels at every new shape, and keep the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _norm(parameters: list[nn.Parameter]) -> Tensor:
    grads = [p.grad for p in parameters if p.grad is not None]
    return torch.stack(torch._foreach_norm(grads)).norm()  # pyright: ignore[reportPrivateImportUsage]


def _jaccard(a: Tensor, b: Tensor) -> float:
    return int((a & b).sum()) / int((a | b).sum())


class _Clock:
    """Seconds spent in named parts of an epoch; a GPU notes the times itself, as it gets there."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._marks: list[tuple[str, Any, Any]] = []

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = self._now()
        yield
        self._marks.append((part, start, self._now()))

    def seconds(self, part: str) -> float:
        """Waits for the GPU."""
        pairs = [(start, end) for name, start, end in self._marks if name == part]
        if self.device.type != "cuda":
            return sum(end - start for start, end in pairs)
        torch.cuda.synchronize(self.device)
        return sum(start.elapsed_time(end) for start, end in pairs) / 1000

    def _now(self) -> Any:
        if self.device.type != "cuda":
            return time.perf_counter()
        mark = torch.cuda.Event(enable_timing=True)
        mark.record()
        return mark
