"""Numbers read off a run: by hand, and where rounding or an empty phase could hurt."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from orderdp_train.rules import build_rule
from orderdp_train.runs import History, measures
from orderdp_train.runs.history import Gradients


def history(epochs: int = 10, **columns: list) -> History:
    rows = [{"epoch": e + 1, **{k: v[e] for k, v in columns.items()}} for e in range(epochs)]
    return History(rows, np.array([0, 3, 3, 10], dtype=np.int32), [])


def test_phases_are_half_open_and_cover_the_training():
    h = history(jaccard=[None, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    by_phase = {p: measures.over_phase("jaccard", p)(h) for p in ("0-20", "20-40", "80-100", "100")}
    assert by_phase == {"0-20": 1, "20-40": 2.5, "80-100": 8.5, "100": 9}
    assert measures.over_phase("jaccard", "final", 100)(h) == 900
    whole = [measures.over_phase("jaccard", f"{a}-{a + 10}")(h) for a in range(10, 100, 10)]
    assert whole == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_readings_by_hand():
    h = history(
        4,
        test_accuracy=[0.1, 0.2, 0.3, 0.4],
        grad_norm_mean=[4.0, 3.0, 2.0, 1.0],
        kept=[4, 2, 2, 4],
        seconds_selection=[1.0] * 4,
        seconds_training=[9.0] * 4,
    )
    assert measures.final_accuracy(h) == pytest.approx(40)
    assert measures.saved(h) == pytest.approx(25)
    assert measures.hours(h) == pytest.approx(40 / 3600)
    assert measures.hours_until(1)(h) == pytest.approx(10 / 3600)
    assert measures.at_epoch("test_accuracy", 2, 100)(h) == pytest.approx(20)
    assert measures.accuracy_gradient_correlation(h) == pytest.approx(-1)
    assert measures.rolling_deviation(2)(h) == pytest.approx(0.5)
    assert [measures.used_times(c)(h) for c in (0, 1, 3)] == [1, 0, 2]
    gradients = [Gradients(e, drawn=e / 10, expected=1.0, bias=e / 4) for e in (1, 2, 3, 4)]
    assert measures.cosine_over_phase("drawn", "50-100")(replace(h, gradients=gradients)) == 0.35
    assert measures.mean_bias(replace(h, gradients=gradients)) == 0.625
    assert measures.kept(h) == pytest.approx(75)


def test_the_ceiling_of_the_similarity_is_reached_by_fixed_scores_and_never_passed():
    """The tolerance is 3.7 standard errors of the mean over 400 pairs of draws."""
    h = history(1)
    h = replace(h, usage=np.zeros(200, dtype=np.int32))
    ceiling = measures.jaccard_ceiling(0.6)(h)
    assert ceiling == pytest.approx(0.6 / 1.4)
    rule = build_rule("orderdp", 200, 0.3, explore=0.6)
    generator = torch.Generator().manual_seed(0)
    # Whatever was kept gets the highest scores, the best case for keeping it again.
    similarities = []
    for _ in range(400):
        first, _ = rule.select(generator)
        scores = torch.zeros(200)
        scores[first] = 1
        rule.update(torch.arange(200), scores)
        second, _ = rule.select(generator)
        shared = len(set(first.tolist()) & set(second.tolist()))
        similarities.append(shared / (120 - shared))
    assert float(np.mean(similarities)) == pytest.approx(ceiling, abs=0.01)


def test_the_angle_is_the_mean_of_angles_and_of_cosines_that_rounding_moved_beyond_one():
    def angle(*cosines: float) -> float:
        looks = [Gradients(e, 0.0, cosine, 0.0) for e, cosine in enumerate(cosines)]
        return measures.mean_angle(replace(history(1), gradients=looks))

    assert angle(0.5, -0.5, 0.0) == pytest.approx(90)
    assert angle(0.5) == pytest.approx(60)
    assert (angle(math.nextafter(1, 2)), angle(math.nextafter(-1, -2))) == (0, 180)


def test_a_deviation_is_of_the_last_five_epochs_and_no_more():
    h = history(grad_norm_mean=[100.0, 1, 2, 3, 4, 5, 100, 100, 100, 100])
    assert measures.rolling_deviation(6)(h) == pytest.approx(2**0.5)
    assert measures.rolling_deviation(1)(h) == 0
