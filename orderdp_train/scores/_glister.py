"""GLISTER: the subset whose gradient step lowers the validation loss most."""

import torch
from jaxtyping import Int64, Integer
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import Array, checked_budget, class_labels, require
from orderdp_train.scores._balance import class_budgets
from orderdp_train.scores._last_layer import LastLayer, residuals
from orderdp_train.scores.recording import Recording
from orderdp_train.scores.static_rule import HELD_OUT, StaticRule

STEP = 0.2 / 128
"""In the rule by name: learning rate over batch size, as CIFAR's recipe moves by a sample."""


def glister(
    train: LastLayer,
    validation: LastLayer,
    k: int,
    step_size: float,
    *,
    classes: Integer[Array, "{len(train)}"] | None = None,
) -> Int64[Tensor, "{k}"]:
    """k of n samples, int64 `(k,)`, in the order in which they were chosen.

    Greedy for the outer level of  max_S  -L_V(theta - eta sum_{j in S} grad L_j(theta)):  every
    step takes the sample with the largest grad L_V . grad L_i, the gain to first order, and then
    *moves* theta by it, so that the next validation gradient is taken where the samples chosen so
    far lead (the Taylor step). theta is the last layer, where both are exact and in closed form.

    Args:
        train: n samples at the proxy's last layer; their gradients stay those at theta.
        validation: samples whose mean loss is L_V, at the same layer.
        step_size: eta > 0, the proxy's learning rate for a sum of gradients.
        classes: labels `(n,)`; then the greedy step skips classes whose `class_budgets` are spent.

    Source: Killamsetty et al. (2021), the greedy selection of GLISTER-ONLINE with an update
    after every sample. Cost O(k (n + n_V) h c) time, O((n + n_V) (c + h)) memory.

    Example:
        >>> features = np.array([[1.0], [-1.0], [0.0]])
        >>> train = LastLayer(np.zeros((3, 2)), features, np.array([0, 0, 0]))
        >>> validation = LastLayer(np.zeros((1, 2)), np.array([[1.0]]), np.array([0]))
        >>> glister(train, validation, k=1, step_size=0.1).tolist()
        [0]
    """
    require(LastLayer, train=train, validation=validation)
    n = len(train)
    checked_budget(k, n)
    if not step_size > 0:
        raise InputError(f"the step size must be positive, got {step_size}")
    if validation.logits.shape[1] != train.logits.shape[1]:
        raise InputError("training and validation samples have different numbers of classes")
    x, errors = train.inputs, train.logit_gradients()
    seen, logits = validation.inputs, validation.logits.double()
    labels = torch.zeros(n, dtype=torch.int64)
    if classes is not None:
        labels = class_labels(classes, n, "classes").cpu()
    present, budgets = class_budgets(labels, k)
    left = dict(zip(present.tolist(), budgets.tolist(), strict=True))
    available = torch.ones(n, dtype=torch.bool, device=x.device)
    chosen = torch.empty(k, dtype=torch.int64)
    for t in range(k):
        slope = residuals(logits, validation.targets).T @ seen / len(validation)
        gains = (errors * (x @ slope.T)).sum(1)
        best = int(torch.where(available, gains, -torch.inf).argmax())
        chosen[t] = best
        available[best] = False
        logits = logits - step_size * torch.outer(seen @ x[best], errors[best])
        left[label := int(labels[best])] -= 1
        if not left[label]:
            available &= (labels != label).to(available.device)
    return chosen


@register
class Glister(StaticRule):
    """`glister` with the loss of samples that the proxy was not trained on as the outer one."""

    name, label = "glister", "GLISTER"
    held_out = HELD_OUT

    def subset(
        self, recording: Recording, k: int, classes: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        assert recording.validation is not None  # as `held_out` asks
        return glister(recording.last_layer, recording.validation, k, STEP, classes=classes)
