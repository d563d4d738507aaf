"""Selection rules inside anybody's training script: a `Sampler` for any `DataLoader`.

A sample of a selection is trained by exactly one process, and all processes make the same number of
steps. Two processes with batches of b train what one process trains with batches of 2b.
"""

import copy
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate as partial_sums
from typing import Any, Literal

import torch
from jaxtyping import Float, Float32, Integer
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, Sampler

from orderdp_theory.common.errors import InputError
from orderdp_train.devices import sent
from orderdp_train.rules.base import Selection, SelectionRule
from orderdp_train.training.finite import LAG, Watch
from orderdp_train.training.processes import gather_objects, gather_vectors, rank, world_size

Grouping = Callable[[list[int]], Iterable[Sequence[int] | Tensor]]
CPU = torch.device("cpu")


def draw_epoch(rule: SelectionRule, generator: torch.Generator) -> Selection:
    """One selection in uniformly random order, so that its minibatches are unbiased for it."""
    indices, weights = rule.select(generator)
    order = torch.randperm(len(indices), generator=generator, device=generator.device)
    order = sent(order, indices.device)
    return indices[order], weights[order]


@dataclass(frozen=True)
class Pass:
    """One selection, as this process trains it.

    `mine` int64 `(c,)`: its samples in order, the first `own` of them its own; one more, of weight
    0, keeps it in step with the others. `weights` float32 `(c,)`. `trained` int64 `(c+1,)`: how
    many samples all processes together have trained at each position. `ends`: the positions where
    batches end, if they are fixed. `before`: steps of its epoch that came before it. `live` is what
    changes while it is trained.
    """

    epoch: int
    before: int
    mine: Tensor
    weights: Tensor
    own: int
    trained: Tensor
    ends: list[int] | None
    live: dict[str, Any] = field(default_factory=lambda: dict(START))

    @property
    def position(self) -> int:
        """How many samples `loss` has been told of."""
        return self.live["position"]

    @property
    def complete(self) -> bool:
        return self.position == len(self.mine)

    @property
    def at_group_end(self) -> bool:
        return self.position == self.live["group_end"]

    @property
    def rest(self) -> Tensor:
        """The samples that are still to be trained."""
        return self.mine[self.position :]

    def batches(self) -> tuple[Tensor, ...]:
        """The batches that are still to be trained, where they are fixed."""
        ends = [end - self.position for end in self.ends or [len(self.mine)]]
        return self.rest.tensor_split([end for end in ends if end > 0][:-1])

    def continues_with(self, indices: Tensor) -> bool:
        return torch.equal(self.rest[: len(indices)], indices)

    def start_group(self, length: int, batches: int) -> None:
        """The `batches` batches from here, the first of this length, share a normalisation."""
        start = self.position
        if self.ends is None:
            end = min(start + length * batches, len(self.mine))
        else:
            later = [end for end in self.ends if end > start]
            end = later[min(batches, len(later)) - 1]
        self.live.update(group_start=start, group_end=end, step=self.live["step"] + 1)

    def note(self, losses: Tensor) -> None:
        """Keep detached losses `(b,)` of the next samples for the rule, and go on by b."""
        stop = self.position + len(losses)
        if self.live["losses"] is None:
            self.live["losses"] = losses.new_zeros(len(self.mine))
            self.live["steps"] = torch.zeros(
                len(self.mine), dtype=torch.int64, device=losses.device
            )
        self.live["losses"][self.position : stop] = losses
        self.live["steps"][self.position : stop] = self.live["step"]
        self.live["position"] = stop

    def unsent(self) -> tuple[Tensor, Tensor, Tensor]:
        """Indices, losses and steps of own samples that the rule does not know of yet."""
        part = slice(self.live["sent"], min(self.position, self.own))
        self.live["sent"] = self.position
        losses = self.live["losses"]
        return sent(self.mine[part], losses.device), losses[part], self.live["steps"][part]


DRAWN_AHEAD = 4  # passes that have been drawn and are not trained yet, such as one looked into
START = {
    **dict.fromkeys(("position", "sent", "group_start", "group_end", "step"), 0),
    **dict.fromkeys(("losses", "steps")),
}


class RuleSampler(Sampler[int]):
    """Each pass over it draws a new selection of `rule` from `generator` and yields it shuffled.

    Train on `loss` of each batch; at the end of the pass the rule is told all losses. Whole
    passes are drawn before they start, so worker processes and prefetching change nothing. Under
    `torch.distributed` each process gets its share; rule and generator must start alike in all, and
    all must start passes together. Use no `drop_last`: what is dropped is not trained.

    `told` are the indices and losses, of all processes, that the rule has been told last.
    `index_device`: where the indices of a pass lie, for a loop of one's own that takes them from
    `draw`; loaders need them on the CPU.

    Example:
        >>> sampler = RuleSampler(RandomSubset(6, 4), torch.Generator().manual_seed(0))
        >>> index = torch.tensor(list(sampler))  # a loader yields it in batches
        >>> sampler.loss(index, torch.ones(4))  # weighted mean; the rule is told the losses
        tensor(1.)
    """

    def __init__(
        self,
        rule: SelectionRule,
        generator: torch.Generator,
        *,
        index_device: torch.device = CPU,
    ) -> None:
        self.rule = rule
        self.generator = generator
        self.index_device = index_device
        self.watch = Watch()
        self.told = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
        self._epoch = 0
        self._pass: Pass | None = None  # what `loss` has been told of last
        self._drawn: deque[Pass] = deque(maxlen=DRAWN_AHEAD)  # what it may be told of next
        self._restored = False

    def __iter__(self) -> Iterator[int]:
        yield from _places(self.draw().rest, self.rule.n)

    def __len__(self) -> int:
        """Samples of this process in a pass; at most, if the losses decide and none is drawn."""
        this = self._present
        drawn = this is not None and (self._restored or not this.complete)
        if self.rule.budget is not None or this is None or not drawn:
            return -(-(self.rule.budget or self.rule.n) // world_size())
        return len(this.mine)

    def batches(self, group: Grouping) -> "RuleBatchSampler":
        """A batch sampler whose batches `group` makes of each selection: bucketing by length, say.

        `group` takes the selected indices in shuffled order, as any batch sampler takes a sampler,
        and returns batches that hold each of them once.
        """
        return RuleBatchSampler(self, group)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch, from 0, the next pass is, when continuing an earlier training."""
        self._epoch = epoch

    @property
    def progress(self) -> float:
        """Passes trained so far, fractions included: what a schedule follows for any rule."""
        this = self._pass or self._present
        return this.epoch + this.position / len(this.mine) if this else float(self._epoch)

    @property
    def group_complete(self) -> bool:
        """Whether the batches that `loss(accumulate=...)` normalises together are all there."""
        return self._pass is None or self._pass.at_group_end

    def weights_of(self, indices: Integer[Tensor, "b"]) -> Float32[Tensor, "b"]:
        """Weights float32 `(b,)` of samples that this process trains in the present pass, else 0.

        A sample that only keeps a process in step with the others has 0 there.
        """
        this = self._continued(indices.to(self.index_device)) or self._present
        if this is None:
            return torch.zeros(len(indices))
        table = this.weights.new_zeros(self.rule.n)
        table[this.mine[: this.own].to(table.device)] = this.weights[: this.own]
        return table[indices.to(table.device)]

    def loss(
        self,
        indices: Integer[Tensor, "b"],
        losses: Float[Tensor, "b"],
        *,
        accumulate: int = 1,
        on_nonfinite: Literal["raise", "skip"] = "raise",
    ) -> Float[Tensor, ""]:
        """The weighted mean of the losses `(b,)` of samples `indices` `(b,)`, to be differentiated.

        The mean is over the batch of all processes, times their number: their gradients are
        averaged. `accumulate`: over that many batches of one size, whose gradients are summed; the
        last group of a pass may be shorter. The rule is told the losses at the end of the pass.

        Weights of your own go into the losses: with `u[indices] * losses` a rule that is unbiased
        for the mean loss is unbiased for (1/n) sum_i u_i loss_i, and scores are the products.

        `on_nonfinite`: "raise" a `NonFiniteLossError`, on the CPU at once and on an accelerator,
        which would have to be waited for, a few steps later, at the latest at the end of a pass of
        more than a few steps or when the state is saved; the rule stores no such loss. "skip"
        leaves the step to a `GradScaler`, which skips it, and tells the rule nothing of it. (Where
        a gradient overflows at its scale alone, the losses are those of the model, and are told.)

        Nothing waits for an accelerator before the end of the pass if `indices` are on the CPU, as
        a loader gives them. Raises `InputError` unless they are those that come next in the pass.
        """
        indices = self._checked(indices, losses)
        this = self._continued(indices)
        if this is None:
            present = self._present
            found = "none" if present is None else f"{present.rest[:3].tolist()}…"
            raise InputError(
                f"the loss is of samples {indices[:3].tolist()}… where {found} come next: the data "
                "set is a reordered or filtered copy, a batch was left out, or a framework put a "
                "sampler of its own on top"
            )
        return self.next_loss(this, losses, accumulate=accumulate, on_nonfinite=on_nonfinite)

    def next_loss(
        self,
        this: Pass,
        losses: Float[Tensor, "b"],
        *,
        accumulate: int = 1,
        on_nonfinite: Literal["raise", "skip"] = "raise",
    ) -> Float[Tensor, ""]:
        """`loss` of the next samples of a pass from `draw`, for a loop that keeps their order."""
        self._take_up(this)
        if this.at_group_end:
            this.start_group(len(losses), accumulate)
        if this.position + len(losses) > this.live["group_end"]:
            raise InputError("batches whose gradients are accumulated must be of one size")
        if losses.dtype in (torch.float16, torch.bfloat16):
            losses = losses.float()
        if on_nonfinite == "raise":
            step = this.before + this.live["step"]
            what = f"the loss is not finite at epoch {this.epoch + 1}, step {step}"
            self.watch.see(losses, this.rest[: len(losses)], what)
        count = this.trained[this.live["group_end"]] - this.trained[this.live["group_start"]]
        own = losses[: max(this.own - this.position, 0)]
        weights = sent(this.weights[this.position :][: len(own)], losses.device).to(losses.dtype)
        total = (weights * own).sum()
        this.live["skips"] = on_nonfinite == "skip"
        this.note(losses.detach())
        if this.complete:
            self.exchange()
        return total * world_size() / int(count)

    def exchange(self) -> None:
        """Tell the rule what `loss` has been told in all processes, which call this together.

        It happens by itself at the end of a pass and before a selection.
        """
        this = self._pass
        if this is None or this.live["sent"] == this.position:
            return
        indices, losses, steps = (gather_vectors(vector) for vector in this.unsent())
        if this.live["skips"]:
            known = ~torch.isin(steps, steps[~losses.isfinite()])
            indices, losses = indices[known], losses[known]
        elif this.live["step"] > LAG:
            self.watch.settle()
        self.told = indices, losses
        self.rule.update(indices, losses)

    def draw(self, group: Grouping | None = None, *, batch_size: int | None = None) -> Pass:
        """The pass to train next: a new selection, or the rest of a restored one.

        Its batches are those of `group`, or nearly equal and at most `batch_size`, each cut into a
        part for every process.
        """
        if self._restored and self._pass is not None and not self._pass.complete:
            self._epoch = self._pass.epoch + 1
            return self._pass
        self.exchange()
        self.rule.set_epoch(self._epoch)
        indices, weights = draw_epoch(self.rule, self.generator)
        if not len(indices):
            raise InputError(f"{type(self.rule).__name__} has selected no sample at all")
        _check_alike(indices)
        last = self._pass
        before = last.before + last.live["step"] if last and last.epoch == self._epoch else 0
        indices = sent(indices, self.index_device)
        part = _share(indices, sent(weights.float(), self.index_device), group, batch_size)
        self._drawn.append(Pass(self._epoch, before, *part))
        self._epoch += 1
        return self._drawn[-1]

    def state_dict(self) -> dict[str, Any]:
        """What this process needs to continue bit for bit, also in the middle of a pass.

        The position is what `loss` has been told, not what workers have prefetched. Tensors, and
        what changes during a pass, are not copied: save it, or `copy.deepcopy` it.
        """
        self.watch.settle()
        this = self._present
        return {
            "process": [rank(), world_size()],
            "rule": self.rule.state_dict(),
            "generator": self.generator.get_state(),
            "epoch": self._epoch,
            "pass": None if this is None else vars(this),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` of the same process was taken.

        The next pass is the rest of the one that was under way. Raises `InputError` for the state
        of another process or another rule.
        """
        if state["process"] != [rank(), world_size()]:
            (was, of), (now, there) = state["process"], (rank(), world_size())
            raise InputError(
                f"the state is of process {was} of {of} and this is {now} of {there}: give each "
                "process its own, and as many as there were"
            )
        self.rule.load_state_dict(state["rule"])
        self.generator.set_state(state["generator"].cpu())
        self._epoch = state["epoch"]
        self._pass = None
        self._drawn.clear()
        if state["pass"] is not None:
            live = {
                name: value.clone() if isinstance(value, Tensor) else value
                for name, value in state["pass"]["live"].items()
            }
            self._pass = Pass(**{**state["pass"], "live": live})
            self.rule.set_epoch(self._pass.epoch)
        self._restored = True

    def _checked(self, indices: Any, losses: Tensor) -> Tensor:
        if not isinstance(indices, Tensor) or indices.is_floating_point() or indices.ndim != 1:
            raise InputError("the first argument is the index that WithIndex gives, int64 (b,)")
        if losses.shape != indices.shape:
            raise InputError(
                f"{tuple(losses.shape)} is not one loss for each of {len(indices)} samples: use "
                "reduction='none', and for text sequence_losses"
            )
        return indices.detach().to(self.index_device, torch.int64)

    def _take_up(self, this: Pass) -> None:
        """Make it the pass under way; what was drawn before it is left behind."""
        if this is not self._pass:
            self.exchange()
            self._pass = this
            while self._drawn.popleft() is not this:
                pass
        self._restored = False

    def _continued(self, indices: Tensor) -> Pass | None:
        """The pass whose next samples these are."""
        begun = () if self._pass is None else (self._pass,)
        return next((p for p in (*begun, *self._drawn) if p.continues_with(indices)), None)

    @property
    def _present(self) -> Pass | None:
        """The pass under way, or the latest drawn if there is none."""
        if self._drawn and (self._pass is None or self._pass.complete):
            return self._drawn[-1]
        return self._pass


class RuleBatchSampler(Sampler[list[int]]):
    """See `RuleSampler.batches`. Processes get the batches of a selection in turn."""

    def __init__(self, sampler: RuleSampler, group: Grouping) -> None:
        self.sampler = sampler
        self.group = group
        self._length: int | None = None

    def __iter__(self) -> Iterator[list[int]]:
        this = self.sampler.draw(self.group)
        self._length = len(this.ends or ())
        yield from (list(_places(batch, self.sampler.rule.n)) for batch in this.batches())

    def __len__(self) -> int:
        """Batches of this process in the pass that was drawn last.

        Before the first, those of a pass that is drawn and grouped for that only, and leaves no
        trace: as many as the first has if rule and generator stay until then.
        """
        if self._length is None:
            generator = torch.Generator(self.sampler.generator.device)
            generator.set_state(self.sampler.generator.get_state())
            indices, weights = (part.cpu() for part in draw_epoch(self.sampler.rule, generator))
            self._length = -(-len(_grouped(indices, weights, self.group)[2]) // world_size())
        return self._length

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sampler.load_state_dict(state)


class EveryProcess:
    """The states of a sampler in all processes, for frameworks that save those of one alone.

    All processes call its methods together.
    """

    def __init__(self, sampler: RuleSampler) -> None:
        self.sampler = sampler

    def state_dict(self) -> dict[str, Any]:
        return {"processes": gather_objects(copy.deepcopy(self.sampler.state_dict()))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if len(state["processes"]) != world_size():
            raise InputError(
                f"the state is of {len(state['processes'])} processes and there are "
                f"{world_size()} now: continue with the number it was started with"
            )
        self.sampler.load_state_dict(state["processes"][rank()])


class _Place(int):
    """The index of one of `of` samples, also on its way to a worker process."""

    of: int

    def __reduce__(self) -> tuple[Any, ...]:
        return _place, (int(self), self.of)


def _place(index: int, of: int) -> _Place:
    place = _Place(index)
    place.of = of
    return place


def _places(indices: Tensor, n: int) -> Iterator[int]:
    """Indices for a loader; `WithIndex` sees by them of how many samples they are."""
    return (_place(index, n) for index in indices.tolist())


def check_length(n: int, samples: int) -> None:
    """`InputError` unless there are the n samples that the rule selects from."""
    if samples != n:
        raise InputError(
            f"the rule selects from {n} samples and the data set has {samples}: build the rule "
            "for the data set that is trained on"
        )


class WithIndex(Dataset[Any]):
    """A map-style data set whose samples start with their index: `(index, *sample)`.

    A sample that is a mapping gets it as one more entry, "index". Asked by a `RuleSampler` whose
    rule is over another number of samples it raises `InputError`.

    Example:
        >>> WithIndex([("a", 0), ("b", 1)])[1]
        (1, 'b', 1)
    """

    def __init__(self, dataset: Any) -> None:
        if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
            raise InputError(
                f"{type(dataset).__name__} cannot be asked for sample i, so no rule can select "
                "from it: use a map-style data set"
            )
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if isinstance(index, _Place):
            check_length(index.of, len(self.dataset))
            index = int(index)
        sample = self.dataset[index]
        if isinstance(sample, dict):
            return {**sample, "index": index}
        return (index, *sample) if isinstance(sample, tuple | list) else (index, sample)


Share = tuple[Tensor, Tensor, int, Tensor, list[int] | None]


def _share(order: Tensor, weights: Tensor, group: Grouping | None, batch_size: int | None) -> Share:
    """This process's part of a selection: `mine`, `weights`, `own`, `trained` and `ends` of a pass.

    Samples, or the batches of a grouping, go round the processes, so that the k-th batches of all
    processes are together the k-th batch of one. Process 0 always has one; its first sample stands
    in, at weight 0, for what another process lacks in the last step.
    """
    world, me = world_size(), rank()
    if group is None and batch_size is None:
        steps = -(-len(order) // world)
        mine, weights, ends = order[me::world], weights[me::world], None
        trained = (world * torch.arange(steps + 1)).clamp(max=len(order))
    else:
        if batch_size is not None:
            sizes = _equal_sizes(len(order), batch_size)
        else:
            assert group is not None
            order, weights, sizes = _grouped(order, weights, group)
        mine, weights = (torch.cat([v[:0], *v.split(sizes)[me::world]]) for v in (order, weights))
        per_step = [sum(sizes[k : k + world]) for k in range(0, len(sizes), world)]
        ends = list(partial_sums([*sizes[me::world], 1][: len(per_step)]))
        trained = torch.zeros(ends[-1] + 1, dtype=torch.int64)
        trained[ends] = torch.tensor(list(partial_sums(per_step)))
    own = len(mine)
    lacking = len(trained) - 1 - own
    mine = torch.cat([mine, order[:1].expand(lacking)])
    return mine, torch.cat([weights, weights.new_zeros(lacking)]), own, trained, ends


def _equal_sizes(count: int, batch_size: int) -> list[int]:
    """Sizes of batches that differ by one at most, none so small that BatchNorm fails; each in a
    part for every process."""
    world = world_size()
    parts = world * -(-count // batch_size)
    batches = torch.arange(count).tensor_split(parts // world)
    if len(batches[-1]) < world:
        raise InputError(
            f"{len(batches[-1])} samples a batch cannot be shared by {world} processes: raise the "
            "batch size"
        )
    return [len(part) for batch in batches for part in batch.tensor_split(world)]


def _grouped(order: Tensor, weights: Tensor, group: Grouping) -> tuple[Tensor, Tensor, list[int]]:
    """The samples in the order of the user's batches, their weights, and the sizes of these."""
    batches = [torch.as_tensor(batch) for batch in group(order.tolist()) if len(batch)]
    grouped = torch.cat(batches)
    given, wanted = grouped.argsort(), order.argsort()
    if not torch.equal(grouped[given], order[wanted]):
        raise InputError("the grouping must put each selected sample into one batch")
    weights = torch.empty_like(weights).index_put((given,), weights[wanted])
    return grouped, weights, [len(batch) for batch in batches]


def _check_alike(indices: Tensor) -> None:
    """`InputError` in all processes if they have drawn different selections."""
    if world_size() > 1:
        drawn = zlib.crc32(indices.cpu().numpy().tobytes())
        if len(gather_vectors(torch.tensor([drawn])).unique()) > 1:
            raise InputError(
                "the processes drew different selections: start the generator from one seed and "
                "the rule from one state in all of them"
            )
