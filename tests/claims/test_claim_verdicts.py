"""Every verdict as a regression, and perturbations: the checks follow the claim, not a constant."""

import csv
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest
import sympy as sp

from orderdp_theory import Design
from orderdp_theory.claims import Finding, all_claims, decide, printed_tables
from orderdp_theory.claims import generalization as general
from orderdp_theory.claims.limits import Z
from orderdp_theory.claims.toy import selection_probabilities

EXPECTED = list(csv.DictReader((Path(__file__).parent / "verdicts.csv").open(encoding="utf-8")))
TABLES = printed_tables()


@pytest.fixture(scope="module")
def results():
    return {result.claim.id: result for result in decide(list(all_claims().values()))}


@pytest.mark.parametrize("row", EXPECTED, ids=lambda row: row["id"])
def test_verdict(row, results):
    result = results[row["id"]]
    assert result.error is None
    assert result.verdict == row["verdict"]
    if row["verdict"] in ("verified", "not checkable"):
        assert result.correction is None
    if row["verdict"] in ("misprint", "conditional", "refuted"):
        assert result.correction


def test_every_claim_is_expected_and_every_listed_one_present(results):
    assert set(results) == {row["id"] for row in EXPECTED}
    assert sum(row["listed"] == "yes" for row in EXPECTED) == 61


def test_evidence_is_named_numbers_with_a_method(results):
    for result in results.values():
        finding = result.finding
        assert finding.numbers or finding.missing, result.claim.id
        for name, value in finding.numbers.items():
            assert isinstance(value, int | float | Fraction), (result.claim.id, name)
            assert math.isfinite(value), (result.claim.id, name)


def patched(number: int, change: dict[str, str], **columns: str) -> list[dict[str, str]]:
    """A printed table with some columns of the matching rows replaced."""
    rows = [dict(row) for row in TABLES[number]]
    matching = [row for row in rows if all(row[name] == text for name, text in columns.items())]
    assert matching, "the patch must hit a row"
    for row in matching:
        row.update(change)
    return rows


def right_gaps(number: int) -> list[dict[str, str]]:
    """Table 1 or 2 with its gaps computed here, in tenths of a point."""
    rows = [dict(row) for row in TABLES[number]]
    full = {
        (r["dataset"], r["model"]): round(10 * float(r["accuracy"]))
        for r in rows
        if r["method"] == "Whole Dataset"
    }
    for row in rows:
        tenths = full[row["dataset"], row["model"]] - round(10 * float(row["accuracy"]))
        row["gap"] = f"{tenths // 10}.{tenths % 10}"
    return rows


def below(*accuracies: str) -> list[dict[str, str]]:
    """Table 2 with InfoBatch's three CIFAR-10/100 accuracies at 30 % made smaller."""
    rows = [dict(row) for row in TABLES[2]]
    for row in rows:
        if row["method"] == "InfoBatch" and row["accuracy"] in accuracies:
            row["accuracy"] = "70.0"
    return rows


def uniform_equals_orderdp() -> list[dict[str, str]]:
    rows = [dict(row) for row in TABLES[2]]
    ours = {
        (r["dataset"], r["model"], r["prune_percent"]): r["accuracy"]
        for r in rows
        if r["method"] == "OrderDP"
    }
    for row in rows:
        if row["method"] == "Dynamic Random":
            row["accuracy"] = ours[row["dataset"], row["model"], row["prune_percent"]]
    return rows


def epochs(slope: float) -> dict[int, list[dict[str, str]]]:
    """A made-up log of full-data training whose correlation is −0.93 for slope 1."""
    # y = −c x + √(1 − c²) w with x, w standardised and uncorrelated.
    x, w = (1, 1, -1, -1), (1, -1, 1, -1)
    c = 0.93 * slope
    return {
        12: [
            {
                "epoch": str(k),
                "test_accuracy": repr(a),
                "gradient_norm": repr(-c * a + math.sqrt(1 - c * c) * b),
            }
            for k, (a, b) in enumerate(zip(x, w, strict=True))
        ]
    }


def curves(ours: float) -> dict[int, list[dict[str, str]]]:
    points = [("OrderDP", ours), ("InfoBatch", 10.0), ("Dynamic Random", 12.0)]
    return {
        12: [{"method": m, "seconds": str(t), "test_accuracy": "90"} for m, t in points],
    }


KEPT = ["divided by the number kept"]
# Each claim that does not hold as printed, changed into a statement that does.
TRUE_VERSIONS: dict[str, dict] = {
    "sec2-nonzero-chance": {"designs": [Design(n, s, s) for n in range(1, 8) for s in (1, n)]},
    "sec2-constant-memory": {"ranking": "fresh"},
    "sec2-score-timing": {"algorithm_1": "after the step"},
    "d4-full-coverage": {"unused_first": True},
    "release-init-cifar100": {"score": 5},
    "release-init-imagenet": {"score": 7},
    "a1-upper-limit": {"upper_limit": min},
    "a1-lower-constraint": {"lowest": 0},
    "a1-never-uniform": {"designs": [Design(4, 2, 1)]},
    "d2-base-case": {"term": lambda n, s, j: math.comb(n - j, s - 1)},
    "d2-order-of-subset": {"reverse": True},
    "d2-position-of-element": {"position": None},
    "prop2-beta-main": {"scale": lambda n, s: Fraction(1, s), "first": lambda z, q: q},
    "a2-sum-placement": {"inside": True},
    "a2-stirling-condition": {"distance": lambda n: n // 3},
    "d2-fig5-convergence": {"growing": False},
    "thm1-unbiased-stale": {"ranking": "fresh"},
    "thm1-never-unbiased": {"keep": lambda d, independent: independent and d.q < d.s},
    "sec31-lower-variance": {"gradients": (1, 1, 1, -5)},
    "thm3-stale": {"ranking": "fresh"},
    "sec31-average-iterate": {"normaliser": "steps"},
    "a3-eq26": {"denominator": 2},
    "sec32-minimises-true-risk": {"interpolating": True},
    "sec32-gamma-hat": {"weight": lambda d, j: Fraction(j <= d.q)},
    "a4-eq35-spectrum": {
        "weight": lambda d, j: d.q * general.regrouped(general.spectrum(d), d.s)[j - 1]
    },
    "a4-orientation": {"ascending": False},
    "a4-empirical-measure": {"normalised": True},
    "thm4-as-stated": {"risk": "empirical"},
    "thm4-limit-implication": {"risk": "empirical"},
    "a4-third-inequality": {"risk": "empirical"},
    "thm4-b-infimum": {"over": max},
    "thm4-cs-vanishes": {"deviation": general.total_deviation},
    "thm4-range": {"limit": lambda n: Fraction(1, n)},
    "e1-infobatch-prune-rate": {"table": patched(10, {"prune_rate": "0.40"}, kept="3 4 5")},
    "e1-infobatch-biased": {"normalisations": KEPT},
    "e1-orderdp-probabilities": {"printed": selection_probabilities()},
    "e1-orderdp-expectation": {"claimed": Fraction("4.26")},
    "e1-bias-eliminated": {"gradients": (3,) * 5},
    "e1-closer-than-infobatch": {"normalisations": KEPT},
    "e1-equal-probability": {"selected": "drawn"},
    "sec1-selection-per-epoch": {"updates": 118},
    "sec42-defaults": {"explore": Fraction(8, 10)},
    "tab1-gaps": {"table": right_gaps(1)},
    "tab2-gaps": {"table": right_gaps(2)},
    "sec51-static-methods": {
        "listed": (
            *("Static Random", "CD", "Herding", "K-Center", "Least Confidence", "Margin"),
            *("Forgetting", "GraNd", "EL2N", "DeepFool", "Craig", "Glister", "Influence", "DP"),
        )
    },
    "sec51-surpasses-all": {"dynamic": below("95.6")},
    "sec51-only-orderdp-lossless": {"dynamic": below("95.6")},
    "sec51-higher-everywhere": {
        "dynamic": below("95.6"),
        "imagenet": patched(4, {"accuracy": "76.3"}, method="InfoBatch", prune_percent="30"),
    },
    "sec52-fastest": {"table": patched(3, {"hours": "21.0"}, method="OrderDP")},
    "tab3-tab4-full-accuracy": {
        "table_3": patched(3, {"accuracy_std": "0.1"}, method="Whole Dataset")
    },
    "abstract-over-40": {"claimed": Fraction(38, 100)},
    "sec6-40-to-45": {
        "table": patched(6, {"saved_percent": "42.0"}, method="OrderDP"),
        "wall_clock": patched(3, {"hours": "20.0"}, method="OrderDP"),
    },
    "sec54-infobatch-constant": {"table": patched(7, {"saved_percent": "37.1"}, optimizer="AdamW")},
    "tab8-consistently-higher": {
        "table": patched(8, {"jaccard": "0.60"}, method="OrderDP", jaccard="0.552")
    },
    "tab8-jaccard-attainable": {"explore": Fraction(9, 10)},
    "tab9-model": {"text_model": "ResNet-50"},
    "d6-prune-ratio": {"second": Fraction("0.70")},
    "fig4-decomposition": {"dynamic": uniform_equals_orderdp()},
    "sec53-over-95": {"table": patched(2, {"accuracy": "95.2"}, method="OrderDP", accuracy="95.0")},
    "fig1-pearson": {"tables": epochs(1.0)},
    "d5-time-to-accuracy": {"tables": curves(9.0)},
}


def test_every_claim_that_fails_has_a_true_version():
    assert set(TRUE_VERSIONS) == {row["id"] for row in EXPECTED if row["verdict"] != "verified"}


@pytest.mark.parametrize("identifier", TRUE_VERSIONS)
def test_a_claim_perturbed_into_a_true_one_is_verified(identifier):
    finding = all_claims()[identifier].check(**TRUE_VERSIONS[identifier])
    assert finding.verdict == "verified"


def lowest_first(design: Design) -> Sequence[Fraction]:
    """Weights of the rule that keeps the q smallest losses: a surrogate that is not convex."""
    from orderdp_theory import inclusion_probabilities_exact

    return inclusion_probabilities_exact(design)[::-1]


# Each claim that holds and prints a constant or formula, changed into a statement that does not.
FALSE_VERSIONS: dict[str, dict] = {
    "sec2-prune-ratio": {"prune_ratio": lambda d: 1 - Fraction(d.q, d.s)},
    "release-init-cifar": {"score": 2},
    "a1-gamma-formula": {"formula": lambda d, j: Fraction(d.q, d.n)},
    "prop2-limit": {"limit": lambda s, q: sp.Integer(s) * (1 - Z)},
    "a2-derivative": {"derivative": lambda s, q: -(Z ** (q - 1)) * (1 - Z) ** (s - q - 1)},
    "thm3-convex": {"keep": lowest_first},
    "thm3-min-fresh": {"constant": Fraction(99, 100)},
    "thm3-average-fresh": {"constant": Fraction(99, 100)},
    "thm3-constant-step": {"exponent": sp.Rational(1, 3)},
    "a4-wasserstein-lemma": {"squared_constant": Fraction(99, 100)},
    "e1-infobatch-expectation": {"claimed": Fraction("4.366")},
    "e1-infobatch-outcomes": {"table": patched(10, {"average": "4.1"}, kept="3 4 5")},
    "tab3-node-hours": {"table": patched(3, {"hours": "21.4"}, method="OrderDP")},
    "tab4-gaps": {"table": patched(4, {"gap": "0.5"}, prune_percent="60", method="OrderDP")},
    "tab5-gaps": {"table": patched(5, {"gap": "0.2"}, model="Swin-T")},
    "tab6-4-to-6-points": {"high": Fraction(5)},
    "tab6-lossless": {"fluctuation": Fraction(0)},
    "tab7-optimizers": {"about": Fraction(0)},
    "tab9-steadier": {"table": patched(9, {"std": "9.0"}, method="OrderDP", progress="final")},
    "tab11-cosine-higher": {"table": patched(11, {"cosine": "0.8"}, cosine="0.853")},
    "e2-high-ratios": {"table": patched(11, {"cosine": "0.9"}, prune_percent="70")},
    "sec51-dynamic-random": {
        "dynamic": patched(2, {"accuracy": "69.7"}, method="Dynamic Random", accuracy="72.8")
    },
    "sec51-smallest-drop": {"dynamic": patched(2, {"accuracy": "79.8"}, accuracy="78.6")},
    "sec51-margin-grows": {"table": patched(2, {"accuracy": "78.0"}, accuracy="75.9")},
    "sec52-best-accuracy": {"table": patched(3, {"accuracy": "76.5"}, method="UCB")},
}


@pytest.mark.parametrize("identifier", FALSE_VERSIONS)
def test_a_claim_perturbed_into_a_false_one_is_not_verified(identifier):
    finding = all_claims()[identifier].check(**FALSE_VERSIONS[identifier])
    assert finding.verdict not in ("verified", "not checkable")


def test_a_correlation_that_differs_is_refuted_once_the_data_are_there():
    assert all_claims()["fig1-pearson"].check(tables=epochs(0.5)).verdict == "refuted"
    assert all_claims()["d5-time-to-accuracy"].check(tables=curves(11.0)).verdict == "refuted"
    lower = patched(2, {"accuracy": "94.9"}, method="OrderDP", model="ResNet-50", accuracy="95.0")
    assert all_claims()["sec53-over-95"].check(table=lower).verdict == "refuted"


def test_what_only_the_figure_shows_cannot_be_checked():
    finding = all_claims()["fig4-decomposition"].check(splits="those drawn")
    assert finding.verdict == "not checkable"


def test_more_epochs_than_counting_allows_are_needed_for_coverage():
    """100 epochs of 500 of 50,000 samples reach every sample only with no repetition at all."""
    finding = all_claims()["d4-full-coverage"].check(unused_first=True, epochs=100)
    assert finding.verdict == "refuted"


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"holds": True}, "verified"),
        ({"holds": True, "holds_as_meant": True, "rival": "Eq. 2"}, "verified"),
        ({"holds": False}, "refuted"),
        ({"holds": False, "holds_under_condition": True}, "conditional"),
        ({"holds": False, "holds_as_meant": True, "holds_under_condition": True}, "misprint"),
        ({"holds": False, "holds_as_meant": True, "rival": "Eq. 2"}, "inconsistent"),
        ({"holds": False, "missing": ("the data",)}, "not checkable"),
    ],
)
def test_the_verdict_follows_from_the_finding(fields, verdict):
    assert Finding("claimed", "found", method="exact rational", **fields).verdict == verdict
