"""RHO-loss and Ordered SGD against enumeration of candidates and of ways to break ties."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import Design
from orderdp_train import audit
from orderdp_train.rules import OrderDP, OrderedSGD, RHOLoss, build_rule
from tests.auditing.problem import small
from tests.oracles import orders
from tests.rules.laws import FALSE_ALARM, same_after_reload, smallest_p_value


def enumerated(values: list[float], s: int, q: int) -> np.ndarray:
    n, weights, count = len(values), np.zeros(len(values)), 0
    for order in orders(values):
        for candidates in combinations(range(n), s):
            count += 1
            for rank in candidates[:q]:
                weights[order[rank]] += 1 / q
    return weights / count


@given(st.integers(1, 5), st.data())
@settings(max_examples=40, deadline=None)
def test_expected_weights_equal_enumeration(n, data):
    s = data.draw(st.integers(1, n))
    q = data.draw(st.integers(1, s))
    numbers = st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=n, max_size=n)
    losses, holdout = data.draw(numbers), data.draw(numbers)
    expected = enumerated([a - b for a, b in zip(losses, holdout, strict=True)], s, q)
    present, design = torch.tensor(losses), Design(n, s, q)
    stored = RHOLoss(design, torch.tensor(holdout))
    stored.update(torch.arange(n), present)
    fresh = RHOLoss(design, torch.tensor(holdout), scorer=present.__getitem__)
    for rule in (stored, fresh):
        np.testing.assert_allclose(rule.expected_weights(), expected, atol=1e-15)
        np.testing.assert_allclose(rule.expected_weights(present), expected, atol=1e-15)
    ordered = build_rule("ordered-sgd", n, q / n, explore=s / n, scorer=present.__getitem__)
    assert isinstance(ordered, OrderedSGD)
    assert ordered.design == design
    np.testing.assert_allclose(ordered.expected_weights(), enumerated(losses, s, q), atol=1e-15)


def test_draws_agree_with_the_expectation():
    losses = torch.tensor([0.1, 0.1, 0.3, 0.7, 0.7, 0.7, 0.9, 2.0, 5.0, 0.2, 0.7, 9.0])
    holdout = torch.tensor([0.1, 0.0, 0.3, 0.7, 0.1, 0.0, 0.0, 2.0, 5.0, 0.0, 0.6, 9.5])
    rule = RHOLoss(Design(12, 7, 3), holdout, scorer=losses.__getitem__)
    assert smallest_p_value(rule, rule.expected_weights() * 3) > FALSE_ALARM
    twin = OrderDP(Design(12, 7, 3), scorer=losses.__getitem__)  # forgets the holdout losses
    assert smallest_p_value(twin, rule.expected_weights() * 3) < FALSE_ALARM


def test_labels_that_nothing_predicts_do_not_come_first():
    losses, holdout = torch.tensor([9.0, 1.0, 1.0, 0.1]), torch.tensor([9.0, 0.2, 0.2, 0.1])
    rule = RHOLoss(Design(4, 4, 2), holdout, scorer=losses.__getitem__)
    assert sorted(rule.select(torch.Generator())[0].tolist()) == [1, 2]


def test_an_audit_ranks_by_what_can_be_reduced():
    problem = small()
    n = problem.population.n
    losses = problem.losses.float()
    holdout = losses.flip(0).clone()
    rule = RHOLoss(Design(n, n, n // 4), holdout, scorer=losses.__getitem__)
    found = audit(problem.model, problem.population, {"rho": rule}, draws=100)["rho"]
    kept = (losses - holdout).argsort(descending=True)[: n // 4]
    own, full = problem.gradients[kept].mean(0), problem.gradients.mean(0)
    assert found.bias == pytest.approx(float((own - full).norm() / full.norm()), rel=1e-5)
    assert found.parts["staleness"] == pytest.approx(0, abs=1e-9)
    assert not found.agreement.alarm


def test_state_and_bad_input():
    rule = RHOLoss(Design(6, 4, 2), torch.rand(6, generator=torch.Generator().manual_seed(0)))
    rule.update(torch.arange(6), torch.linspace(0, 1, 6))
    same_after_reload(rule, RHOLoss(Design(6, 4, 2), rule.holdout_losses))
    for holdout in (torch.ones(5), torch.tensor([math.nan] * 6), torch.tensor([math.inf] * 6)):
        with pytest.raises(ValueError, match="finite holdout loss for each of 6"):
            RHOLoss(Design(6, 4, 2), holdout)


def test_by_name_it_asks_for_holdout_losses_once_and_not_if_a_state_has_them():
    losses, holdout, asked = torch.arange(6.0), torch.arange(6.0).flip(0), []

    def judge():
        asked.append(0)
        return holdout

    given = {"explore": 4 / 6, "scorer": losses.__getitem__}
    rule = build_rule("rho-loss", 6, 1 / 3, holdout=judge, **given)
    assert rule.design == Design(6, 4, 2)
    assert not asked
    rule.prepare()
    rule.select(torch.Generator().manual_seed(0))
    direct = RHOLoss(rule.design, holdout, scorer=losses.__getitem__)
    assert torch.equal(rule.expected_weights(), direct.expected_weights())
    assert len(asked) == 1
    later = build_rule("rho-loss", 6, 1 / 3, **given)
    with pytest.raises(ValueError, match="give a holdout, or use RHOLoss"):
        later.prepare()
    with pytest.raises(ValueError, match="holds NaN among its holdout_losses"):
        later.load_state_dict({"scores": losses, "holdout_losses": losses * math.nan})
    with pytest.raises(ValueError, match="give a holdout"):
        later.state_dict()  # a bad state changes nothing
    later.load_state_dict(rule.state_dict())
    assert torch.equal(later.holdout_losses, holdout)
    assert rule.surrogate_design() is None
