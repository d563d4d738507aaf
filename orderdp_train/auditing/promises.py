"""What a run may promise: the theorems' assumptions that it met, with constants measured on it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from orderdp_theory import Guarantee, MeasuredRun, promises
from orderdp_train.auditing.point import AuditedPoint
from orderdp_train.rules import OrderDP
from orderdp_train.runs import RunConfig


def promises_of(config: RunConfig, points: Sequence[AuditedPoint]) -> tuple[Guarantee, ...]:
    """Every theorem about a run, by the constants that its audit measured at `points`.

    The range of the losses and the largest gradient are those seen at the points: what follows from
    them is an estimate of the guarantee. No model that a run can name has losses that are convex,
    or weakly convex with a known constant. Empty for a rule without a surrogate L_q, and if the
    audit left out the moments.
    """
    last, recipe = points[-1], config.recipe
    gradients = [p.audit.largest_gradient for p in points if p.audit.largest_gradient is not None]
    per_step, steps = config.per_step(last.audit.n)
    rule = per_step.build(last.audit.n, scorer=_not_asked, epochs=recipe.epochs)
    design, losses = rule.surrogate_design(), last.audit.losses
    if design is None or losses is None or not gradients:
        return ()
    current = design.q == design.s or (isinstance(rule, OrderDP) and rule.scorer is not None)
    minibatches = -(-design.q // recipe.batch_size) if steps is None else 1
    an_epoch = steps or 1
    return promises(
        MeasuredRun(
            design=design,
            step_sizes=[
                recipe.learning_rate(t / (recipe.epochs * an_epoch))
                for t in range(last.epoch * an_epoch)
            ],
            losses=losses.numpy(),
            loss_range=max(
                float(p.audit.losses.max()) for p in points if p.audit.losses is not None
            ),
            lipschitz=max(gradients),
            minibatches=minibatches,
            max_age=0 if current else None,
            shortfalls=0.0 if current else None,
            # The rate changes within an epoch, which the theorems on minibatches do not cover.
            plain=(recipe.optimizer, recipe.momentum, recipe.weight_decay) == ("sgd", 0.0, 0.0)
            and not (recipe.mixup or recipe.cutmix or recipe.clip or recipe.peak_momentum)
            and recipe.layer_decay == 1
            and minibatches == 1,
        )
    )


def _not_asked(indices: Tensor) -> Tensor:
    raise AssertionError("a rule that is only described scores nothing")
