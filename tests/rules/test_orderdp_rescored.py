"""OrderDP rescored in turn: which scores it ranks by, what they cost, how old they are."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import Design
from orderdp_train import audit
from orderdp_train.rules import OrderDP, RescoredOrderDP, RuleConfig
from tests.auditing.problem import small
from tests.rules.laws import FALSE_ALARM, same_after_reload, smallest_p_value
from tests.rules.test_rho_loss import enumerated


class Model:
    """Losses that change with every training step, and a count of forward passes."""

    def __init__(self, n: int) -> None:
        self.losses = torch.rand(n, generator=torch.Generator().manual_seed(n))
        self.step, self.asked = 0, []

    def __call__(self, indices: torch.Tensor) -> torch.Tensor:
        self.asked.append(indices.tolist())
        return self.losses[indices] + self.step


@given(st.integers(1, 5), st.data())
@settings(max_examples=40, deadline=None)
def test_expected_weights_equal_enumeration(n, data):
    s = data.draw(st.integers(1, n))
    q = data.draw(st.integers(1, s))
    r = data.draw(st.integers(1, n))
    numbers = st.lists(st.sampled_from([0.0, 0.5, 1.0, 7.0]), min_size=n, max_size=n)
    stored, present = data.draw(numbers), data.draw(numbers)
    rule = RescoredOrderDP(Design(n, s, q), r, torch.tensor(present).__getitem__)
    rule.scores.copy_(torch.tensor(stored))
    turns = data.draw(st.integers(0, 3))
    rule.turn.fill_(turns * r % n)
    new = {(turns * r + k) % n for k in range(r)}
    ranked = [present[i] if i in new else stored[i] for i in range(n)]
    for same in (rule, rule.at_present()):
        np.testing.assert_allclose(same.expected_weights(), enumerated(ranked, s, q), atol=1e-15)
    inclusion = rule.second_order().inclusion
    np.testing.assert_allclose(inclusion / q, enumerated(ranked, s, q), atol=1e-15)


def test_draws_agree_with_the_expectation():
    present = torch.tensor([5.0] * 6 + [0.0] * 6)
    rule = RescoredOrderDP(Design(12, 7, 3), 6, present.__getitem__)
    rule.scores.copy_(torch.arange(12.0))
    assert smallest_p_value(rule, rule.expected_weights() * 3) > FALSE_ALARM
    twin = OrderDP(Design(12, 7, 3))  # ranks by what was stored
    twin.scores.copy_(torch.arange(12.0))
    assert smallest_p_value(twin, rule.expected_weights() * 3) < FALSE_ALARM


@given(st.integers(1, 9), st.data())
@settings(max_examples=30, deadline=None)
def test_no_score_is_older_than_a_turn_and_each_selection_costs_r(n, data):
    r = data.draw(st.integers(1, n))
    q = data.draw(st.integers(1, n))
    model = Model(n)
    rule = RescoredOrderDP(Design(n, n, q), r, model)
    bound = math.ceil(n / r) - 1
    generator = torch.Generator().manual_seed(0)
    for step in range(3 * n):
        model.step, model.asked = step, []
        indices, _ = rule.select(generator)
        assert [len(asked) for asked in model.asked] == [r]
        if step >= bound:
            written = rule.ranked_by()  # a score tells the step at which it was made
            assert (step - written.floor() <= bound).all()
        for batch in indices.tensor_split(2):  # the turn passes on once a selection
            rule.update(batch, model.losses[batch] + step)
    assert int(rule.turn) == 3 * n * r % n


def test_a_selection_that_is_not_trained_on_leaves_no_trace():
    model = Model(8)
    rule = RescoredOrderDP(Design(8, 5, 2), 3, model)
    before = rule.scores.clone()
    first = rule.select(torch.Generator().manual_seed(0))[0]
    second = rule.select(torch.Generator().manual_seed(0))[0]
    assert torch.equal(first, second)
    assert torch.equal(rule.scores, before)
    assert int(rule.turn) == 0
    rule.update(first, model.losses[first])
    assert int(rule.turn) == 3
    same_after_reload(rule, RescoredOrderDP(Design(8, 5, 2), 3, model))


def test_an_audit_ranks_by_the_new_scores():
    problem = small()
    n = problem.population.n
    losses = problem.losses.float()
    rule = RescoredOrderDP(Design(n, n, n // 4), n // 2, losses.__getitem__)
    old = losses.flip(0) + 0.01  # no ties with the new ones
    rule.scores.copy_(old)
    found = audit(problem.model, problem.population, {"rescored": rule}, draws=100)["rescored"]
    ranked = torch.cat([losses[: n // 2], old[n // 2 :]])
    kept = ranked.argsort(descending=True)[: n // 4]
    own, full = problem.gradients[kept].mean(0), problem.gradients.mean(0)
    assert found.bias == pytest.approx(float((own - full).norm() / full.norm()), rel=1e-5)
    assert not found.agreement.alarm


def test_by_name_and_at_every_step():
    config = RuleConfig("orderdp-rescored", {"keep": 0.2, "explore": 0.5, "rescore": 0.1})
    rule = config.build(1000, scorer=lambda indices: indices.float())
    assert (rule.budget, rule.rescored, rule.design.s) == (200, 100, 500)
    step, steps = config.per_step(1000, 50)
    small_rule = step.build(1000, scorer=lambda indices: indices.float())
    # All shares are scaled alike, also one below the budget's.
    assert (small_rule.budget, small_rule.rescored, small_rule.design.s, steps) == (50, 25, 125, 4)


def test_bad_input():
    for r in (0, 6):
        with pytest.raises(ValueError, match=r"rescored must lie in 1 \.\.\. n = 5"):
            RescoredOrderDP(Design(5, 3, 2), r, torch.ones(5).__getitem__)
    with pytest.raises(ValueError, match="needs a scorer"):
        RuleConfig("orderdp-rescored").build(5)
