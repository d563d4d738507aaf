"""What a rule states, against the law of its selections: kept sets with their probabilities."""

from fractions import Fraction
from itertools import product

import numpy as np
import torch
from scipy.stats import binom

from orderdp_train.rules import SelectionRule
from orderdp_train.rules.pairs import SecondOrder

Law = dict[tuple[int, ...], Fraction]


def stated_joint(design: SecondOrder) -> np.ndarray:
    """P(i and j kept), `(n, n)`, of a design without rank pairs, written out pair by pair."""
    p = design.inclusion.numpy()
    joint = design.constant + design.linear * (p[:, None] + p) + design.product * np.outer(p, p)
    if design.sequence is not None:
        order = design.sequence.order.tolist()
        loss, gain, decay = (
            x.tolist() for x in (design.sequence.loss, design.sequence.gain, design.sequence.decay)
        )
        for later, i in enumerate(order):
            for earlier, j in enumerate(order[:later]):
                between = np.prod(decay[earlier + 1 : later])
                joint[i, j] -= loss[later] * between * gain[earlier]
                joint[j, i] = joint[i, j]
    np.fill_diagonal(joint, p)
    return joint


def joint_of(law: Law, n: int) -> np.ndarray:
    joint = np.zeros((n, n))
    for kept, probability in law.items():
        for i, j in product(kept, repeat=2):
            joint[i, j] += float(probability)
    return joint


def check_law(rule: SelectionRule, law: Law, weights: np.ndarray) -> None:
    """Expectation and pairs against a law, for kept samples with fixed `weights` / m."""
    assert sum(law.values()) == 1
    joint = joint_of(law, rule.n)
    np.testing.assert_allclose(rule.expected_weights(), np.diag(joint) * weights, atol=1e-15)
    design = rule.second_order()
    assert design is not None
    kept = np.diag(joint) > 0
    np.testing.assert_allclose(design.coefficient[kept], weights[kept], rtol=1e-15)
    np.testing.assert_allclose(stated_joint(design), joint, atol=1e-14)


def smallest_p_value(rule: SelectionRule, chance: torch.Tensor, draws: int = 3000) -> float:
    """Bonferroni-corrected exact binomial p-value of how often each sample is kept, two-sided."""
    generator = torch.Generator().manual_seed(1)
    counts = np.zeros(rule.n)
    for _ in range(draws):
        indices, weights = rule.select(generator)
        assert len(set(indices.tolist())) == len(indices) == len(weights)
        counts[indices.numpy()] += 1
    p = np.clip(chance.double().numpy(), 0, 1)
    tails = np.minimum(binom.cdf(counts, draws, p), binom.sf(counts - 1, draws, p))
    return float(np.min(2 * tails) * rule.n)


FALSE_ALARM = 1e-6
"""Of each test of draws; its twins must have a smaller p-value."""


def same_after_reload(rule: SelectionRule, copy: SelectionRule) -> None:
    copy.load_state_dict({k: v.clone() for k, v in rule.state_dict().items()})
    drawn = [r.select(torch.Generator().manual_seed(3)) for r in (rule, copy)]
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert torch.equal(drawn[0][1], drawn[1][1])
    assert torch.equal(rule.expected_weights(), copy.expected_weights())
