"""A fixed subset: no variance, weights of mean 1, and audited like any rule."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from orderdp_train import audit
from orderdp_train.rules import RULES, FixedSubset, FullData, RuleConfig, build_rule, rules_by_name
from tests.auditing.problem import small
from tests.rules.laws import check_law, same_after_reload


@given(st.integers(1, 8), st.data())
def test_it_is_its_own_law(n, data):
    indices = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n, unique=True))
    m = len(indices)
    weights = data.draw(st.none() | st.lists(st.integers(1, 9), min_size=m, max_size=m))
    rule = FixedSubset(n, torch.tensor(indices), None if weights is None else torch.tensor(weights))
    given_weights = np.array(weights or [1] * m, float)
    expected = np.zeros(n)
    expected[indices] = given_weights / given_weights.sum()
    check_law(rule, {tuple(sorted(indices)): 1}, expected)
    drawn, w = rule.select(torch.Generator())
    assert drawn.tolist() == indices
    np.testing.assert_allclose(w.mean(), 1, rtol=1e-6)
    assert rule.budget == m


def test_the_scale_of_weights_does_not_matter():
    """CRAIG's sum to n, others to 1."""
    a = FixedSubset(9, torch.tensor([4, 1, 7]), torch.tensor([4.0, 3.0, 2.0]))
    b = FixedSubset(9, torch.tensor([4, 1, 7]), torch.tensor([4.0, 3.0, 2.0]) / 9)
    torch.testing.assert_close(a.expected_weights(), b.expected_weights())
    torch.testing.assert_close(a.weights, torch.tensor([4 / 3, 1, 2 / 3]).double())


def test_an_audit_finds_bias_and_no_variance():
    problem = small()
    n = problem.population.n
    subset = torch.arange(0, n, 3)
    found = audit(
        problem.model,
        problem.population,
        {"subset": FixedSubset(n, subset), "full": FullData(n)},
        draws=50,
    )["subset"]
    own, full = problem.gradients[subset].mean(0), problem.gradients.mean(0)
    assert found.bias == pytest.approx(float((own - full).norm() / full.norm()), rel=1e-5)
    assert found.cosine == pytest.approx(
        float(own @ full / own.norm() / full.norm()), rel=1e-6, abs=1e-6
    )
    assert found.variance == pytest.approx(0, abs=1e-12)
    assert found.unreachable == n - len(subset)
    assert not found.agreement.alarm


def test_state():
    rule = FixedSubset(6, torch.tensor([5, 0]), torch.tensor([1.0, 3.0]))
    same_after_reload(rule, FixedSubset(6, torch.tensor([5, 0]), torch.tensor([2.0, 6.0])))
    with pytest.raises(ValueError, match="another subset"):
        FixedSubset(6, torch.tensor([5, 1])).load_state_dict(rule.state_dict())
    with pytest.raises(ValueError, match="another subset"):
        FixedSubset(6, torch.tensor([5])).load_state_dict(rule.state_dict())


@pytest.mark.parametrize(
    ("indices", "weights", "message"),
    [
        ([], None, "integers"),
        ([0, 0], None, "different"),
        ([0, 5], None, "different and lie in 0..4"),
        ([-1], None, "different and lie"),
        ([0.5], None, "integers"),
        ([True, False], None, "integers"),
        ([0, 1], [1.0], "as many finite weights"),
        ([0, 1], [1.0, -1.0], "as many finite weights"),
        ([0, 1], [1.0, math.nan], "as many finite weights"),
        ([0, 1], [0.0, 0.0], "all 0"),
    ],
)
def test_refused(indices, weights, message):
    with pytest.raises(ValueError, match=message):
        FixedSubset(5, torch.tensor(indices), None if weights is None else torch.tensor(weights))


def test_rules_made_from_arrays_are_known_by_name_and_not_built_by_it():
    others = set(RULES) - set(rules_by_name())
    assert others == {"fixed-subset"}
    for name in others:
        with pytest.raises(ValueError, match=f"{name} is made from .* use {RULES[name].__name__}"):
            build_rule(name, 5)
        with pytest.raises(ValueError, match="made from"):
            RuleConfig(name)
