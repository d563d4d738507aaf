"""Hugging Face's Trainer with a selection rule: `SelectiveTrainer(rule=…, …)`."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset, IterableDataset
from transformers import Trainer, TrainerCallback
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.trainer_utils import seed_worker

from orderdp_theory.common.errors import InputError
from orderdp_train.integrations.accelerate import without_split
from orderdp_train.rules import SelectionRule
from orderdp_train.training.processes import rank
from orderdp_train.training.sampler import Pass, RuleSampler, check_length
from orderdp_train.training.state import check_seed
from orderdp_train.training.text import sequence_losses

INDEX = "selection_index"


Base = Trainer if TYPE_CHECKING else object  # it is mixed into a Trainer of the user's choice


class SelectionMixin(Base):
    """Trains any `Trainer` on what a rule selects; the arguments beside the usual ones are

    `rule`, over as many samples as `train_dataset` has, drawn from by a generator of its own that
    starts at the Trainer's `data_seed`, or `seed`; `reduction`, "mean" for the mean loss over
    sequences of their mean over tokens, or "sum" for their sum over tokens, divided by the fixed
    mean number of tokens a sequence; and `sample_losses(outputs, labels) -> (B,)` instead of
    `sample_losses`.

    The loss is normalised by the samples of the accumulated batch of all processes, never by
    `num_items_in_batch`, whose random number of tokens would make the estimate a biased ratio.
    Evaluation is the Trainer's own. Checkpoints hold rule and sampler. Sharded models (FSDP,
    DeepSpeed, tensor or sequence parallelism) and `DataParallel` are refused.
    """

    # The loss of each batch is already normalised over all that are accumulated.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        *args: Any,
        rule: SelectionRule,
        reduction: Literal["mean", "sum"] = "mean",
        sample_losses: Callable[[Any, Tensor], Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        check_whole(**{**dict(zip(("model", "args"), args, strict=False)), **kwargs})
        super().__init__(*args, **kwargs)
        self.rule = rule
        self.reduction: Literal["mean", "sum"] = reduction
        self._sample_losses = sample_losses
        self._tokens: float | None = None
        check_supported(self)
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        self.rule_sampler = RuleSampler(rule, torch.Generator().manual_seed(check_seed(seed)))

    def sample_losses(self, outputs: Any, labels: Tensor) -> Tensor:
        """One loss a sample, `(B,)`: cross-entropy, of a sequence or of a class.

        Causal language models predict the next token, as their own loss does.
        """
        if self._sample_losses is not None:
            return self._sample_losses(outputs, labels)
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        smoothing = self.args.label_smoothing_factor
        if logits.ndim == 3:
            losses = sequence_losses(
                logits,
                labels,
                shift=_is_causal(self.accelerator.unwrap_model(self.model)),
                reduction=self.reduction,
                label_smoothing=smoothing,
            )
            return losses / self._mean_tokens() if self.reduction == "sum" else losses
        if logits.ndim == 2 and labels.ndim == 1 and not labels.is_floating_point():
            return F.cross_entropy(
                logits.float(), labels, label_smoothing=smoothing, reduction="none"
            )
        raise InputError(
            f"no loss is known for logits {tuple(logits.shape)} and labels {tuple(labels.shape)}: "
            "give sample_losses(outputs, labels) -> (B,)"
        )

    def losses(self, model: nn.Module, batch: dict[str, Any]) -> Tensor:
        """Losses `(B,)` of a collated batch, as training takes them and as `audit` wants them:

        `audit(model, samples, rules, loss=trainer.losses, collate=trainer.data_collator)`.
        """
        return self._forward(model, batch)[1]

    def _forward(self, model: nn.Module, batch: dict[str, Any]) -> tuple[Any, Tensor]:
        inputs = dict(batch)
        labels = inputs.get("labels")
        if labels is None:
            raise InputError("the training data has no labels to compute a loss from")
        if not getattr(getattr(model, "config", None), "is_encoder_decoder", False):
            del inputs["labels"]  # the model's own loss is not needed
        outputs = model(**inputs)
        return outputs, self.sample_losses(outputs, labels)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        inputs = dict(inputs)
        if INDEX not in inputs:
            raise InputError(
                "a training batch has lost its index: leave get_train_dataloader as it is, or give "
                f"its batches the indices of their samples as {INDEX!r}"
            )
        indices = inputs.pop(INDEX)
        outputs, losses = self._forward(model, inputs)
        loss = self.rule_sampler.loss(
            indices,
            losses,
            accumulate=self.args.gradient_accumulation_steps,
            on_nonfinite="skip" if self.args.fp16 else "raise",
        )
        return (loss, outputs) if return_outputs else loss

    def get_train_dataloader(self) -> DataLoader[Any]:
        data: Any = self.train_dataset
        check_length(self.rule.n, len(data))
        self._batches = _Batches(self.rule_sampler, self._train_batch_size)
        collator = self._get_collator_with_removed_columns(self.data_collator, "Training")
        workers = self.args.dataloader_num_workers
        loader = DataLoader(
            _Numbered(data),
            batch_sampler=self._batches,
            collate_fn=_Collate(collator),
            num_workers=workers,
            pin_memory=self.args.dataloader_pin_memory,
            persistent_workers=self.args.dataloader_persistent_workers,
            multiprocessing_context=self.args.dataloader_multiprocessing_context,
            prefetch_factor=self.args.dataloader_prefetch_factor,
            worker_init_fn=partial(seed_worker, num_workers=workers, rank=self.args.process_index),
        )
        return cast(Any, without_split(self.accelerator, loader))

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The Trainer's schedule; if the losses decide the number of steps, by passes trained."""
        scheduler = super().create_scheduler(num_training_steps, optimizer)
        if self.rule.budget is None and isinstance(scheduler, LambdaLR) and self.args.max_steps < 0:
            per_pass = num_training_steps / self.args.num_train_epochs
            scheduler.lr_lambdas = [
                lambda _, rate=cast(Any, rate): rate(per_pass * self.rule_sampler.progress)
                for rate in scheduler.lr_lambdas
            ]
        return scheduler

    # The Trainer's private steps from here on: there are no public ones.

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The index stays on the CPU, where it is compared without waiting for the device."""
        index = {name: inputs[name] for name in (INDEX,) if name in inputs}
        rest = {name: value for name, value in inputs.items() if name not in index}
        return {**super()._prepare_inputs(rest), **index}

    def _run_epoch(self, **how: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The number of steps is that of the pass, which the losses may decide."""
        self.rule_sampler.set_epoch(how["epoch"])
        steps = self._batches.draw()
        how["steps_in_epoch"] = steps
        how["num_update_steps_per_epoch"] = -(-steps // self.args.gradient_accumulation_steps)
        super()._run_epoch(**how)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        torch.save(self.rule_sampler.state_dict(), _state_file(output_dir))

    def _init_training_state(
        self,
        max_steps: int,
        num_update_steps_per_epoch: int,
        num_train_epochs: int,
        resume_from_checkpoint: str | None,
        trial: Any,
    ) -> tuple[int, int]:
        """Where to go on: the sampler knows, and the Trainer skips just what the loss was told."""
        checkpoint = resume_from_checkpoint
        started = super()._init_training_state(
            max_steps, num_update_steps_per_epoch, num_train_epochs, checkpoint, trial
        )
        if checkpoint is None:
            return started
        if not _state_file(checkpoint).is_file():
            raise InputError(f"{checkpoint} holds no state of the rule: it is of another trainer")
        self.rule_sampler.load_state_dict(torch.load(_state_file(checkpoint), weights_only=True))
        self.args.ignore_data_skip = False  # skipping reads no data
        progress = self.rule_sampler.progress
        told = self.rule_sampler.state_dict()["pass"]["live"]["position"]
        within = progress != int(progress)
        return int(progress), math.ceil(told / self._train_batch_size) if within else 0

    def _mean_tokens(self) -> float:
        if self._tokens is None:
            shift = _is_causal(self.accelerator.unwrap_model(self.model))
            data: Any = self.train_dataset
            labels = [self.data_collator([data[i]])["labels"] for i in range(len(data))]
            self._tokens = sum(int((row[:, shift:] != -100).sum()) for row in labels) / len(labels)
        return self._tokens


class SelectiveTrainer(SelectionMixin, Trainer):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Hugging Face's `Trainer` on what a rule selects; see `SelectionMixin`."""


class AuditCallback(TrainerCallback):
    """Calls `audit(model)` before the optimizer steps whose numbers are in `steps`."""

    def __init__(self, audit: Callable[[nn.Module], Any], steps: Container[int]) -> None:
        self.audit = audit
        self.steps = steps

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step in self.steps:
            self.audit(kwargs["model"])


class _Batches:
    """Batches of whole passes; what was trained before a checkpoint is there to be skipped."""

    def __init__(self, sampler: RuleSampler, batch_size: int) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = False
        self._drawn: Pass | None = None

    def draw(self) -> int:
        """Draw the next pass, and say how many batches it has."""
        self._drawn = self.sampler.draw()
        return -(-len(self._drawn.mine) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        drawn, self._drawn = self._drawn or self.sampler.draw(), None
        yield from (batch.tolist() for batch in drawn.mine.split(self.batch_size))

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)


class _Numbered(Dataset[Any]):
    """Samples in pairs with their index, which no removal of columns touches."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[int, Any]:
        return index, self.dataset[index]


class _Collate:
    def __init__(self, collator: Callable[[list[Any]], Any]) -> None:
        self.collator = collator

    def __call__(self, pairs: list[tuple[int, Any]]) -> dict[str, Any]:
        indices, samples = zip(*pairs, strict=True)
        return {**self.collator(list(samples)), INDEX: torch.tensor(indices)}


def _state_file(folder: str) -> Path:
    return Path(folder) / f"selection_{rank()}.pt"


def _is_causal(model: nn.Module) -> bool:
    """Whether the labels are those of the next tokens."""
    base = cast(Any, model).get_base_model() if hasattr(model, "get_base_model") else model
    return type(base).__name__ in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()


def check_whole(model: Any = None, args: Any = None, **rest: Any) -> None:
    """`InputError` for a model that is, or shall be, in shards, before the Trainer looks at it."""
    tensor_parallel = max(getattr(model, name, None) or 1 for name in ("tp_size", "_tp_size"))
    _refuse(
        {
            "DeepSpeed": getattr(args, "deepspeed", None),
            "FSDP": getattr(args, "fsdp", None),
            "tensor or sequence parallelism": tensor_parallel > 1
            or getattr(args, "parallelism_config", None),
        }
    )


def check_supported(trainer: Any) -> None:
    """`InputError`, in one line, for what would train something else than the rule says."""
    args = trainer.args
    _refuse(
        {
            # As a launcher's environment can ask for them too.
            "DeepSpeed": trainer.is_deepspeed_enabled,
            "FSDP": trainer.is_fsdp_enabled,
            "tensor or sequence parallelism": trainer.accelerator.parallelism_config,
            "DataParallel (start one process a GPU with torchrun)": args.n_gpu > 1,
            "dataloader_drop_last, which leaves out selected samples": args.dataloader_drop_last,
            f"train_sampling_strategy={args.train_sampling_strategy!r}": (
                args.train_sampling_strategy != "random"
            ),
            "compute_loss_func, which has no loss a sample (give sample_losses)": (
                trainer.compute_loss_func
            ),
            "an IterableDataset, of which no sample can be selected": isinstance(
                trainer.train_dataset, IterableDataset
            ),
        }
    )


def _refuse(given: dict[str, Any]) -> None:
    for name, value in given.items():
        if value:
            raise InputError(f"a selection rule does not work with {name}")
