"""Ordered SGD (Kawaguchi and Lu, 2020): the step on the q largest losses of a batch of s."""

from orderdp_theory.common.palette import PURPLE
from orderdp_train.rules.orderdp_fresh import FreshOrderDP
from orderdp_train.rules.registry import register


@register
class OrderedSGD(FreshOrderDP):
    """Random-then-top selection by present losses under the name of those who published it first.

    Selected at every step it is their algorithm with q constant: draw a minibatch of s, step on the
    mean of its q largest losses. (They lower q as the training accuracy rises.) The selection, its
    expectation and its covariance are those of `FreshOrderDP`.

    Example:
        >>> losses = torch.tensor([3.0, 2.0, 1.0, 0.0])
        >>> rule = OrderedSGD(Design(4, 4, 2), scorer=lambda candidates: losses[candidates])
        >>> rule.expected_weights().tolist()  # the top two of all
        [0.5, 0.5, 0.0, 0.0]
    """

    name, label, colour, marker = "ordered-sgd", "Ordered SGD", PURPLE, "d"
    order = 11
