"""E.1: five samples with gradients 1 … 5, 80 % of them pruned."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations, product
from math import comb, prod

from orderdp_theory import Design
from orderdp_theory.claims.exact_training import gamma
from orderdp_theory.claims.reading import Reading, tally
from orderdp_theory.claims.registry import Quote, claim
from orderdp_theory.claims.tables import Table, numbers_in, read_table

GRADIENTS = (1, 2, 3, 4, 5)
KEEP = Fraction(1, 5)  # 1 − prune ratio
FULL = Fraction(sum(GRADIENTS), len(GRADIENTS))
TABLE_10 = read_table(10)
KEPT, BY_N = "divided by the number kept", "divided by n"

EXPECTATION = Quote(
    "E.1, below Table 10",
    "From Table 10, the expected gradient estimate is 4.336 with prune ratio < 0.8 , "
    "indicating bias.",
)
PROBABILITIES = Quote(
    "E.1, last display",
    r"= \frac{1}{25},$$ […] = \frac{3}{50},$$ […] = \frac{3}{25},$$ […] = \frac{9}{50},$$ "
    r"[…] = \frac{3}{5}.$$",
)
ORDERDP = Quote(
    "E.1, end",
    "The expected gradient estimate under this distribution is 4.06 with prune ratio exactly 0.8.",
)
CLOSER = Quote(
    "E.1, last sentence",
    "OrderDP not only maintains the target pruning ratio precisely but also achieves "
    "gradient estimates closer to the true full gradient (= 3), effectively eliminating "
    "the bias observed in InfoBatch.",
)


def printed_probabilities(words: str = PROBABILITIES.words) -> list[Fraction]:
    """The five fractions of the display."""
    found = numbers_in(words)
    return [a / b for a, b in zip(found[::2], found[1::2], strict=True)]


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


def infobatch_means(gradients: Sequence[int] = GRADIENTS) -> dict[str, Fraction]:
    """InfoBatch's expectation: divided by the number kept in the draw, and by n."""
    outcomes = infobatch_outcomes(gradients)
    n = len(gradients)
    return {
        KEPT: sum(
            (p * rescaled_sum(kept, gradients) / len(kept) for kept, p in outcomes.items()),
            Fraction(0),
        ),
        BY_N: sum(
            (p * rescaled_sum(kept, gradients) / n for kept, p in outcomes.items()), Fraction(0)
        ),
    }


@claim(
    "arithmetic of tables",
    Quote("Table 10", r"{3, 4, 5}	0.64	3, 4, 5	4.0	0.60"),
)
def e1_infobatch_prune_rate(table: Table = TABLE_10) -> list[Reading]:
    n = len(GRADIENTS)
    kept = {row["kept"]: Fraction(len(row["kept"].split()), n) for row in table}
    wrong = [row for row in table if Fraction(row["prune_rate"]) != 1 - kept[row["kept"]]]
    swapped = all(Fraction(row["prune_rate"]) == kept[row["kept"]] for row in wrong)
    return [
        Reading(
            "The prune rates of Table 10 are the shares of the five samples that are not kept.",
            not wrong,
            f"{len(wrong)} of {len(table)} rows differ: {{3, 4, 5}} prunes "
            f"{float(1 - kept['3 4 5']):.2f}",
            "arithmetic on printed numbers",
            {"rows": len(table), "rows that differ": len(wrong)},
        ),
        Reading(
            f"Keeping {{3, 4, 5}} of five is a prune rate of {float(1 - kept['3 4 5']):.2f}; the "
            "printed number is the share kept.",
            swapped,
            "the share kept stands where the share pruned belongs",
            "arithmetic on printed numbers",
            {"prune rate of {3, 4, 5}": 1 - kept["3 4 5"]},
            words="evident slip",
        ),
    ]


@claim(
    "arithmetic of tables",
    Quote(
        "Table 10",
        "The table shows the kept set, probability of selection, rescaled gradients, average "
        "gradient, and prune rate.",
    ),
)
def e1_infobatch_outcomes(table: Table = TABLE_10) -> list[Reading]:
    outcomes = infobatch_outcomes()

    def right(row: Mapping[str, str]) -> bool:
        kept = tuple(int(i) for i in row["kept"].split())
        average = rescaled_sum(kept) / len(kept)
        return (
            outcomes.get(kept) == Fraction(row["probability"])
            and average == Fraction(row["average"])
            and sum(numbers(row["rescaled"]), Fraction(0)) == rescaled_sum(kept)
        )

    result = tally((row["kept"], right(row)) for row in table)
    return [
        Reading(
            "The kept sets of Table 10, their probabilities, rescaled gradients and averages.",
            result.holds and len(outcomes) == result.cases,
            f"{result.agreeing} of {result.cases} rows agree; {len(outcomes)} outcomes exist",
            "exact rational",
            result.numbers("rows"),
        )
    ]


@claim("arithmetic of tables", EXPECTATION)
def e1_infobatch_expectation(
    printed: Fraction = numbers_in(EXPECTATION.words)[1],
) -> list[Reading]:
    found = infobatch_means()[KEPT]
    return [
        Reading(
            "InfoBatch's expected gradient on the toy example is 4.336, the mean over the kept set "
            "as in Table 10.",
            found == printed,
            f"{found} = {float(found)}",
            "exact rational",
            {"expected average over the kept set": found},
        )
    ]


@claim("experiments", EXPECTATION)
def e1_infobatch_biased(gradients: Sequence[int] = GRADIENTS) -> list[Reading]:
    full = Fraction(sum(gradients), len(gradients))
    means = infobatch_means(gradients)
    return [
        Reading(
            f"InfoBatch's rescaled gradients, {name}, have another expectation than the full "
            "gradient.",
            mean != full,
            f"{float(mean)} against {float(full)}",
            "exact rational",
            {"expectation": mean, "full gradient": full},
            correction="The mean over the kept set is biased in scale; the rescaled sum over n, "
            "and with it an epoch's total update, is unbiased.",
        )
        for name, mean in means.items()
    ]


@claim("arithmetic of tables", PROBABILITIES)
def e1_orderdp_probabilities(printed: Sequence[Fraction] | None = None) -> list[Reading]:
    """s uniform on 1 … 5, q = 1, as the display has it; sample 5 has the largest gradient."""
    n = len(GRADIENTS)
    stated = printed_probabilities() if printed is None else printed
    found = selection_probabilities()
    by_counting = [
        sum((Fraction(comb(i - 1, s - 1), comb(n, s)) for s in range(1, n + 1)), Fraction(0)) / n
        for i in range(1, n + 1)
    ]
    if found != by_counting:
        raise ArithmeticError("two ways of counting the selection probabilities disagree")
    wrong = [i for i, (p, f) in enumerate(zip(stated, found, strict=True), 1) if p != f]
    return [
        Reading(
            f"Samples 1 … 5 are selected with probability {', '.join(map(str, stated))}.",
            not wrong,
            f"{', '.join(map(str, found))}: wrong for samples {wrong}"
            if wrong
            else "all five are right",
            "exact rational",
            {f"P(sample {i})": p for i, p in enumerate(found, 1)}
            | {"wrong probabilities": len(wrong), "sum of the printed ones": sum(stated)},
            correction=", ".join(map(str, found)),
        )
    ]


@claim("arithmetic of tables", ORDERDP)
def e1_orderdp_expectation(printed: Fraction = numbers_in(ORDERDP.words)[0]) -> list[Reading]:
    sources = {
        "the right probabilities": expected(selection_probabilities()),
        "the printed probabilities": expected(printed_probabilities()),
    }
    return [
        Reading(
            f"OrderDP's expected gradient on the toy example is {float(printed)} under {name}.",
            value == printed,
            f"{float(value)} = {value}",
            "exact rational",
            {"expectation": value},
            correction=str(float(sources["the right probabilities"])),
        )
        for name, value in sources.items()
    ]


@claim("experiments", CLOSER)
def e1_bias_eliminated(gradients: Sequence[int] = GRADIENTS) -> list[Reading]:
    """The bias of InfoBatch that the sentence observes is that of Table 10's averages."""
    full = Fraction(sum(gradients), len(gradients))
    infobatch = infobatch_means(gradients)[KEPT] - full
    ours = expected(selection_probabilities(), gradients) - full
    by_print = numbers_in(ORDERDP.words)[0] - full
    return [
        Reading(
            f"Most of the bias of InfoBatch, at least half of it, is gone in OrderDP {name}.",
            abs(bias) <= abs(infobatch) / 2,
            f"bias {float(bias)} of a full gradient of {float(full)}; InfoBatch's is "
            f"{float(infobatch)}, so {float(100 * bias / infobatch) if infobatch else 0:.0f} % "
            "of it remains",
            "exact rational",
            {
                "bias of OrderDP": bias,
                "bias of OrderDP over the full gradient": bias / full,
                "bias of InfoBatch, mean over the kept set": infobatch,
            },
            correction="It reduces the bias of the mean over the kept set from "
            f"{float(infobatch)} to {float(ours)}; InfoBatch divided by n has none.",
        )
        for name, bias in (
            ("by the right probabilities", ours),
            *([("by the printed 4.06", by_print)] if gradients == GRADIENTS else []),
        )
    ]


@claim("experiments", CLOSER)
def e1_closer_than_infobatch(gradients: Sequence[int] = GRADIENTS) -> list[Reading]:
    full = Fraction(sum(gradients), len(gradients))
    ours = abs(expected(selection_probabilities(), gradients) - full)
    return [
        Reading(
            "OrderDP's expected gradient is closer to the full one than InfoBatch's rescaled "
            f"gradients {name}.",
            ours < abs(mean - full),
            f"distance {float(ours)} against {float(abs(mean - full))}",
            "exact rational",
            {"bias of OrderDP": ours, "bias of InfoBatch": abs(mean - full)},
            correction="Divided by n InfoBatch's rescaled gradients are unbiased.",
        )
        for name, mean in infobatch_means(gradients).items()
    ]


@claim("experiments", EXPECTATION, ORDERDP)
def e1_exact_prune_ratio(kept: int = 1) -> list[Reading]:
    n = len(GRADIENTS)
    ours = {Design(n, s, kept).prune_ratio for s in range(kept, n + 1)}
    infobatch = sum(
        (p * (1 - Fraction(len(kept), n)) for kept, p in infobatch_outcomes().items()), Fraction(0)
    )
    level = numbers_in(ORDERDP.words)[1]
    return [
        Reading(
            "OrderDP prunes exactly 0.8 of the five samples, InfoBatch less.",
            ours == {level} and infobatch < level,
            f"{', '.join(str(float(r)) for r in ours)} for every s; InfoBatch prunes "
            f"{float(infobatch)} on average",
            "exact rational",
            {"InfoBatch's expected prune rate": infobatch},
        )
    ]


@claim(
    "experiments",
    Quote(
        "E.1, first mechanism",
        "Before pruning, s points are randomly sampled so that every sample, regardless of "
        "gradient magnitude, has equal probability of entering the coreset.",
    ),
)
def e1_equal_probability(favoured: int = 0) -> list[Reading]:
    """`favoured`: how many extra draws the first sample takes part in, none in uniform sampling."""
    n = len(GRADIENTS)
    drawn = [c for s in range(1, n + 1) for c in combinations(range(n), s)] + [(0,)] * favoured
    candidate = [Fraction(sum(i in c for c in drawn), len(drawn)) for i in range(n)]
    kept = selection_probabilities()
    return [
        Reading(
            "Every sample is equally likely to be among the s points sampled before pruning.",
            len(set(candidate)) == 1,
            f"in {len(drawn)} candidate sets of the toy example each sample occurs with frequency "
            f"{', '.join(sorted(set(map(str, candidate))))}",
            "exact enumeration",
            {"smallest frequency": min(candidate), "largest frequency": max(candidate)},
        ),
        Reading(
            "Every sample is equally likely to be in the kept set, which D.3 calls the coreset.",
            len(set(kept)) == 1,
            f"from {min(kept)} to {max(kept)} on the toy example",
            "exact rational",
            {"smallest probability": min(kept), "largest probability": max(kept)},
            correction="A sample's probability of being kept is γ_j, which falls with its rank.",
        ),
    ]
