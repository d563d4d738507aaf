"""E.1: five samples with gradients 1 … 5, 80 % of them pruned."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from math import comb, prod

from orderdp_theory.claims.exact_training import gamma
from orderdp_theory.claims.finding import Finding, tally
from orderdp_theory.claims.registry import claim
from orderdp_theory.claims.tables import Table, read_table
from orderdp_theory.design import Design

GRADIENTS = (1, 2, 3, 4, 5)
KEEP = Fraction(1, 5)  # 1 − prune ratio
FULL = Fraction(sum(GRADIENTS), len(GRADIENTS))
PRINTED_PROBABILITIES = (
    Fraction(1, 25), Fraction(3, 50), Fraction(3, 25), Fraction(9, 50), Fraction(3, 5),
)  # fmt: skip
TABLE_10 = read_table(10)


def numbers(text: str) -> list[Fraction]:
    """A list of numbers separated by spaces."""
    return [Fraction(word) for word in text.split()]


def infobatch_outcomes(gradients: Sequence[int] = GRADIENTS) -> dict[tuple[int, ...], Fraction]:
    """Kept set (1-based) and probability: below-mean samples are kept with probability 1/5."""
    mean = Fraction(sum(gradients), len(gradients))
    low = [i for i, g in enumerate(gradients, 1) if g < mean]
    outcomes = {}
    for kept in product((True, False), repeat=len(low)):
        dropped = {i for i, keep in zip(low, kept, strict=True) if not keep}
        chance = prod((KEEP if keep else 1 - KEEP for keep in kept), start=Fraction(1))
        outcomes[tuple(i for i in range(1, len(gradients) + 1) if i not in dropped)] = chance
    return outcomes


def rescaled_sum(kept: Sequence[int], gradients: Sequence[int] = GRADIENTS) -> Fraction:
    """Sum of the kept gradients, those below the mean times 5."""
    mean = Fraction(sum(gradients), len(gradients))
    return sum(
        (Fraction(gradients[i - 1]) / (KEEP if gradients[i - 1] < mean else 1) for i in kept),
        Fraction(0),
    )


def selection_probabilities() -> list[Fraction]:
    """P(sample i is kept): s uniform on 1 … 5, q = 1; sample 5 has the largest gradient."""
    n = len(GRADIENTS)
    curves = [gamma(Design(n, s, 1)) for s in range(1, n + 1)]
    return [sum((c[n - i] for c in curves), Fraction(0)) / n for i in range(1, n + 1)]


def expected(probabilities: Sequence[Fraction], gradients: Sequence[int] = GRADIENTS) -> Fraction:
    """The mean gradient."""
    return sum((p * g for p, g in zip(probabilities, gradients, strict=True)), Fraction(0))


@claim
def e1_infobatch_prune_rate(table: Table = TABLE_10) -> Finding:
    """Keeping {3, 4, 5} of five samples is a prune rate of 0.60 (and so on in Table 10).

    Source: E.1 Table 10.
    """
    n = len(GRADIENTS)
    rates = {row["kept"]: 1 - Fraction(len(row["kept"].split()), n) for row in table}
    wrong = [row for row in table if Fraction(row["prune_rate"]) != rates[row["kept"]]]
    # The slip: the share kept stands where the share pruned belongs.
    swapped = all(Fraction(row["prune_rate"]) == 1 - rates[row["kept"]] for row in wrong)
    return Finding(
        claimed="0.60",
        found=f"{float(rates['3 4 5']):.2f}: three of five are kept; the other "
        f"{len(table) - len(wrong)} rows are right",
        holds=not wrong,
        holds_as_meant=swapped,
        method="arithmetic on printed numbers",
        numbers={"prune rate of {3, 4, 5}": rates["3 4 5"], "wrong rows": len(wrong)},
        correction=f"{float(rates['3 4 5']):.2f}",
    )


@claim
def e1_infobatch_outcomes(table: Table = TABLE_10) -> Finding:
    """The kept sets of Table 10, their probabilities, rescaled gradients and averages.

    Source: E.1 Table 10.
    """
    outcomes = infobatch_outcomes()
    result = tally(
        (
            row["kept"],
            outcomes.get(tuple(int(i) for i in row["kept"].split())) == Fraction(row["probability"])
            and sum(numbers(row["rescaled"]), Fraction(0)) / len(row["kept"].split())
            == Fraction(row["average"])
            == rescaled_sum([int(i) for i in row["kept"].split()]) / len(row["kept"].split()),
        )
        for row in table
    )
    return Finding(
        claimed="four outcomes as printed",
        found=f"{result.agreeing} of {result.cases} rows agree; {len(outcomes)} outcomes exist",
        holds=result.holds and len(outcomes) == result.cases,
        method="exact rational",
        numbers=result.numbers("rows"),
    )


@claim
def e1_infobatch_expectation(claimed: Fraction = Fraction("4.336")) -> Finding:
    """InfoBatch's expected gradient on the toy example is 4.336.

    The mean over the kept set, as Table 10 computes it.

    Source: E.1 Table 10.
    """
    outcomes = infobatch_outcomes()
    found = sum((p * rescaled_sum(kept) / len(kept) for kept, p in outcomes.items()), Fraction(0))
    return Finding(
        claimed=str(float(claimed)),
        found=f"{found} = {float(found)}, averaging over the kept set",
        holds=found == claimed,
        method="exact rational",
        numbers={"expected average over the kept set": found},
    )


def infobatch_means(gradients: Sequence[int] = GRADIENTS) -> dict[str, Fraction]:
    """InfoBatch's expectation: divided by the number kept in the draw, and by n."""
    outcomes = infobatch_outcomes(gradients)
    n = len(gradients)
    return {
        "divided by the number kept": sum(
            (p * rescaled_sum(kept, gradients) / len(kept) for kept, p in outcomes.items()),
            Fraction(0),
        ),
        "divided by n": sum(
            (p * rescaled_sum(kept, gradients) / n for kept, p in outcomes.items()), Fraction(0)
        ),
    }


@claim
def e1_infobatch_biased(normalisations: Sequence[str] | None = None) -> Finding:
    """Hence InfoBatch is a biased estimator of the full gradient 3 on the toy example.

    The rescaled sum over n is unbiased. Dividing by the number kept instead scales a step up by
    n/|kept| on average, which the smaller number of steps per epoch makes up for.

    Source: E.1.
    """
    means = infobatch_means()
    chosen = list(means if normalisations is None else normalisations)
    result = tally(
        (name, means[name] != FULL, name == "divided by the number kept") for name in chosen
    )
    return Finding(
        claimed=f"E ≠ {FULL}",
        found=f"{float(means['divided by the number kept'])} when divided by the number kept, "
        f"exactly {means['divided by n']} when divided by n",
        holds=result.holds,
        holds_under_condition=result.holds_inside,
        method="exact rational",
        numbers={f"expectation, {name}": mean for name, mean in means.items()}
        | {"full gradient": FULL},
        correction="The mean over the kept set is biased in scale; InfoBatch's rescaled sum over "
        "n, and with it an epoch's total update, is unbiased.",
    )


@claim
def e1_orderdp_probabilities(
    printed: Sequence[Fraction] = PRINTED_PROBABILITIES,
) -> Finding:
    """The selection probabilities of samples 1 … 5 are 1/25, 3/50, 3/25, 9/50, 3/5.

    s uniform on 1 … 5, q = 1. For sample 3 and s = 2 the paper has 3/10 instead of 2/10, for
    sample 4 and s = 4 it has 1/10 instead of 1/5; its totals include the wrong terms.

    Source: E.1.
    """
    n = len(GRADIENTS)
    found = selection_probabilities()
    by_counting = [
        sum((Fraction(comb(i - 1, s - 1), comb(n, s)) for s in range(1, n + 1)), Fraction(0)) / n
        for i in range(1, n + 1)
    ]
    if found != by_counting:
        raise ArithmeticError("two ways of counting the selection probabilities disagree")
    wrong = [i for i, (p, f) in enumerate(zip(printed, found, strict=True), 1) if p != f]
    return Finding(
        claimed=", ".join(map(str, printed)),
        found=f"{', '.join(map(str, found))}: wrong for samples {wrong}"
        if wrong
        else "all five are right",
        holds=not wrong,
        method="exact rational",
        numbers={f"P(sample {i})": p for i, p in enumerate(found, 1)}
        | {"wrong probabilities": len(wrong), "sum of the printed ones": sum(printed)},
        correction=", ".join(map(str, found)),
    )


@claim
def e1_orderdp_expectation(claimed: Fraction = Fraction("4.06")) -> Finding:
    """OrderDP's expected gradient on the toy example is 4.06.

    Source: E.1.
    """
    found = expected(selection_probabilities())
    listed = expected(PRINTED_PROBABILITIES)
    return Finding(
        claimed=str(float(claimed)),
        found=f"{float(found)} = {found}; even the paper's own probabilities give {float(listed)}",
        holds=found == claimed,
        method="exact rational",
        numbers={"expectation": found, "expectation under the printed probabilities": listed},
        correction=str(float(found)),
    )


@claim
def e1_bias_eliminated(
    gradients: Sequence[int] = GRADIENTS, negligible: Fraction = Fraction(1, 20)
) -> Finding:
    """OrderDP effectively eliminates the bias on the toy example (full gradient 3).

    "Effectively" is read generously: at most 5 % of the full gradient.

    Source: E.1.
    """
    full = Fraction(sum(gradients), len(gradients))
    bias = expected(selection_probabilities(), gradients) - full
    infobatch = infobatch_means(gradients)["divided by the number kept"] - full
    return Finding(
        claimed="bias ≈ 0",
        found=f"bias {float(bias)}, {float(100 * bias / full):.0f} % of the full gradient "
        f"(InfoBatch, same normalisation: {float(infobatch)})",
        holds=abs(bias) <= negligible * full,
        method="exact rational",
        numbers={
            "bias of OrderDP": bias,
            "bias of OrderDP over the full gradient": bias / full,
            "bias of InfoBatch, mean over the kept set": infobatch,
            "bias of OrderDP by the printed 4.06": Fraction("4.06") - FULL,
        },
        correction=f"It reduces the bias of the mean over the kept set from {float(infobatch)} to "
        f"{float(bias)}; InfoBatch divided by n has none.",
    )


@claim
def e1_closer_than_infobatch(normalisations: Sequence[str] | None = None) -> Finding:
    """OrderDP's expected gradient is closer to the full gradient than InfoBatch's.

    Source: E.1, last sentence.
    """
    ours = abs(expected(selection_probabilities()) - FULL)
    theirs = {name: abs(mean - FULL) for name, mean in infobatch_means().items()}
    chosen = list(theirs if normalisations is None else normalisations)
    result = tally(
        (name, ours < theirs[name], name == "divided by the number kept") for name in chosen
    )
    return Finding(
        claimed="|bias of OrderDP| < |bias of InfoBatch|",
        found=f"{float(ours)} against {float(theirs['divided by the number kept'])} divided by "
        f"the number kept, {float(theirs['divided by n'])} divided by n",
        holds=result.holds,
        holds_under_condition=result.holds_inside,
        method="exact rational",
        numbers={"bias of OrderDP": ours}
        | {f"bias of InfoBatch, {name}": bias for name, bias in theirs.items()},
        correction="Only if InfoBatch's rescaled gradients are divided by the number kept in the "
        "draw; divided by n they are unbiased.",
    )


@claim
def e1_exact_prune_ratio() -> Finding:
    """With the top-1 of five samples OrderDP's prune ratio is exactly 0.8, InfoBatch's below.

    Source: E.1.
    """
    ours = {Design(5, s, 1).prune_ratio for s in range(1, 6)}
    infobatch = sum(
        (p * (1 - Fraction(len(kept), 5)) for kept, p in infobatch_outcomes().items()), Fraction(0)
    )
    return Finding(
        claimed="0.8 exactly; InfoBatch below 0.8",
        found=f"{', '.join(str(float(r)) for r in ours)} for every s; InfoBatch prunes "
        f"{float(infobatch)} on average",
        holds=ours == {Fraction(4, 5)} and infobatch < Fraction(4, 5),
        method="exact rational",
        numbers={"InfoBatch's expected prune rate": infobatch},
    )


@claim
def e1_equal_probability(selected: str = "kept") -> Finding:
    """By uniform exploration every sample has equal probability of entering the coreset.

    Equal is the probability of becoming a candidate; the coreset (Table 8's word for the set that
    is trained on) is what the ranking keeps of them.

    Source: E.1, first mechanism.
    """
    kept = selection_probabilities()
    candidate = [sum((Fraction(s, 5) for s in range(1, 6)), Fraction(0)) / 5] * 5
    probabilities = kept if selected == "kept" else candidate
    return Finding(
        claimed="equal probabilities",
        found=f"from {min(probabilities)} to {max(probabilities)} on the toy example; equal for "
        f"candidates ({candidate[0]})",
        holds=len(set(probabilities)) == 1,
        method="exact rational",
        numbers={
            "smallest probability": min(probabilities),
            "largest probability": max(probabilities),
            "probability of being a candidate": candidate[0],
        },
        correction="Every sample is equally likely to be a candidate; its probability of being "
        "kept is γ_j, which falls with its rank.",
    )
