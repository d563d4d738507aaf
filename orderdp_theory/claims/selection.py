"""Section 2, D.4 and the code release: what Algorithm 1 draws, keeps and stores."""

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import total_ordering
from itertools import combinations

from flint import arb

from orderdp_theory.claims.designs import all_designs, explores_and_prunes
from orderdp_theory.claims.exact_training import (
    Refresh,
    Scores,
    distance_loss,
    selections,
    train,
    vector,
)
from orderdp_theory.claims.finding import Finding, UndecidedError, tally
from orderdp_theory.claims.registry import claim
from orderdp_theory.design import Design

CIFAR = 50_000
IMAGENET = 1_281_167


@claim
def sec2_prune_ratio(
    prune_ratio: Callable[[Design], Fraction] = lambda d: (
        1 - Fraction(d.q, d.s) * Fraction(d.s, d.n)
    ),
) -> Finding:
    """The retained fraction is exactly (q/s)(s/|D|), so the prune ratio is 1 − q/n.

    Source: §2.2.
    """
    counted = tally(
        (d, {1 - Fraction(len(kept), d.n) for kept in selections(d, [Fraction(0)] * d.n)}
         == {prune_ratio(d)})
        for d in all_designs(8)
    )  # fmt: skip
    default = Design.from_ratios(IMAGENET)
    return Finding(
        claimed="kept fraction (q/s)(s/n) = q/n in every draw",
        found=f"{counted.agreeing} of {counted.cases} designs agree, all draws counted",
        holds=counted.holds,
        method="exact enumeration",
        numbers={
            **counted.numbers("designs"),
            "prune ratio of the default at n = 1281167, after rounding": default.prune_ratio,
        },
    )


@claim
def sec2_nonzero_chance(designs: Iterable[Design] | None = None) -> Finding:
    """Because candidates are drawn uniformly, every sample has a non-zero chance to enter Q.

    For a fixed ranking the last s − q ranks can never be kept: a candidate set that holds one of
    them also holds q better ones. Only q = s, uniform pruning without any ranking, escapes.

    Source: §2.2, D.4.
    """
    examined = list(all_designs(9) if designs is None else designs)
    reached = {
        d: {i for kept in selections(d, [Fraction(-j) for j in range(d.n)]) for i in kept}
        for d in examined
    }
    result = tally((d, len(reached[d]) == d.n, explores_and_prunes(d)) for d in examined)
    predicted = tally((d, reached[d] == set(range(min(d.n, d.n - d.s + d.q)))) for d in examined)
    default = Design.from_ratios(CIFAR)
    return Finding(
        claimed="P(i ∈ Q) > 0 for every sample",
        found=f"with q < s the last s − q ranks are never kept ({len(result.failures)} of "
        f"{result.cases} designs fail); {default.s - default.q} ranks at n = {CIFAR}, default",
        holds=result.holds,
        holds_under_condition=result.holds_inside,
        method="exact enumeration",
        numbers={
            **result.numbers("designs", "q < s < n"),
            "designs where exactly the last s − q ranks are never kept": predicted.agreeing,
            "ranks never kept at n = 50000, s = n/2, q = 0.6 s": default.s - default.q,
        },
        correction="A sample can be kept if and only if its rank is at most n − s + q; every "
        "sample can only when q = s, where nothing is ranked.",
    )


@claim
def sec2_constant_memory(
    ranking: Scores = "stored", populations: Sequence[int] = (4, 8, 16, 32)
) -> Finding:
    """OrderDP has constant memory overhead, unlike methods that need O(n) storage.

    A score has to be stored if two states that differ in it alone can select differently. The
    candidate set {i, k} with q = 1 tells them apart, for each i: so Algorithm 1 needs all n
    scores at any time. Ranking by losses computed on the spot needs none beyond a heap of q.

    Source: §2.2, §3.1.
    """

    def needed(n: int) -> int:
        losses = list(range(n))  # at the current parameters, the same in every state
        stored = [2 * i for i in range(n)]

        def selects(scores: Sequence[int]) -> list[int]:
            rank_by = scores if ranking == "stored" else losses
            return [max(pair, key=lambda i: rank_by[i]) for pair in combinations(range(n), 2)]

        # Sample i alone gets another score: the best, or the worst if it was the best.
        others = ([*stored[:i], 2 * n if i < n - 1 else -1, *stored[i + 1 :]] for i in range(n))
        return sum(selects(stored) != selects(other) for other in others)

    counts = [needed(n) for n in populations]
    growth = Fraction(counts[-1] - counts[0], populations[-1] - populations[0])
    return Finding(
        claimed="stored values do not grow with n",
        found=f"{', '.join(map(str, counts))} scores needed at n = "
        f"{', '.join(map(str, populations))}",
        holds=growth == 0,
        method="exact enumeration",
        numbers={f"scores needed at n = {n}": c for n, c in zip(populations, counts, strict=True)}
        | {"scores per added sample": growth},
        correction="Algorithm 1 stores one score per sample, O(n), as InfoBatch does; ranking by "
        "losses computed for the s candidates needs O(q) but s forward passes a step.",
    )


@claim
def sec2_heap_cost() -> Finding:
    """Selecting the top q costs O(log q) time per sample, O(1) when q = 1.

    Comparisons are counted on the worst order for a heap of q, scores that only rise, and on the
    reverse of it.

    Source: §2.2.
    """
    count = 0

    @total_ordering
    class Counted:
        def __init__(self, value: int) -> None:
            self.value = value

        def __lt__(self, other: "Counted") -> bool:
            nonlocal count
            count += 1
            return self.value < other.value

    def per_sample(q: int, s: int) -> float:
        nonlocal count
        worst = 0
        for order in (range(s), range(s, 0, -1)):
            count = 0
            heap: list[Counted] = []
            for value in map(Counted, order):
                if len(heap) < q:
                    heapq.heappush(heap, value)
                else:
                    heapq.heappushpop(heap, value)
            worst = max(worst, count)
        return worst / s

    sizes = (1, 4, 16, 64, 256)
    costs = {q: per_sample(q, 2048) for q in sizes}
    result = tally((q, cost <= 2 + 2 * math.log2(q)) for q, cost in costs.items())
    return Finding(
        claimed="comparisons per sample at most a constant times 1 + log₂ q",
        found=f"{costs[1]:.1f} at q = 1, {costs[256]:.1f} at q = 256",
        holds=result.holds,
        method="exact enumeration",
        numbers={f"comparisons per sample at q = {q}": cost for q, cost in costs.items()},
    )


@claim
def sec2_score_timing(
    equation_2: Refresh = "after the step", algorithm_1: Refresh = "before the step"
) -> Finding:
    """A retained sample's stored score is its loss at θ^{t+1} (Eq. 2) and at θ^t (Algorithm 1).

    Both are printed as H_{t+1}(θ^{t+1}, z_i); the two statements cannot both hold.

    Source: §2.1 Eq. 2 vs Algorithm 1 line 11.
    """
    losses = [distance_loss(vector(1)), distance_loss(vector(1), centre=1)]
    design, start, steps = Design(2, 2, 1), vector(3), [Fraction(1)]

    def stored(refresh: Refresh) -> Fraction:
        *_, last = train(losses, design, start, steps, "stored", refresh)
        (state,) = last
        return state.scores[0]

    after, before = stored(equation_2), stored(algorithm_1)
    return Finding(
        claimed="one stored score",
        found=f"after one step Eq. 2 stores {after}, Algorithm 1 stores {before}",
        holds=after == before,
        rival="Algorithm 1, line 11",
        method="counterexample",
        numbers={"score by Eq. 2": after, "score by Algorithm 1": before},
        correction="The score a step can store without a second forward pass is the loss at θ^t, "
        "as in Algorithm 1 and in the released code.",
    )


@claim
def d4_full_coverage(
    unused_first: bool | None = None,
    n: int = CIFAR,
    epochs: int = 200,
    prune_ratio: Fraction = Fraction(99, 100),
    explore: Fraction = Fraction(1, 2),
) -> Finding:
    """No sample has zero usage over training, also at 99 % pruning.

    Two things can happen to samples not used yet. If their initial score exceeds every score
    stored later, they are kept whenever they are drawn; then, with u unused samples, Hoeffding's
    inequality for draws without replacement bounds the chance that fewer than q (or ⌊u/4⌋) of them
    are among the candidates, and the chance that any is left after all epochs. If the ranking
    does not put them first, the last s − q ranks are never used.

    Source: D.4, Fig. 11.
    """
    s = int(explore * n)
    q = int((1 - prune_ratio) * n)
    design = Design(n, s, q)
    never = s - q
    uniform = n * (1 - q / n) ** epochs
    chance = _chance_of_unused(design, epochs)
    orders = (True, False) if unused_first is None else (unused_first,)
    result = tally(
        (order, chance <= 1e-9 if order else never == 0, order and explores_and_prunes(design))
        for order in orders
    )
    return Finding(
        claimed="no sample unused after training",
        found=f"fixed ranking: {never} of {n} never used; unused ranked first: all used, "
        f"failure chance ≤ {chance:.0e}",
        holds=result.holds,
        holds_under_condition=result.holds_inside,
        method="certified enclosure",
        numbers={
            "n": n,
            "s": s,
            "q": q,
            "epochs": epochs,
            "never used under a fixed ranking": never,
            "expected never used by uniform pruning at the same budget": uniform,
            "bound on the chance that a sample is unused when unused samples rank first": chance,
        },
        correction="All samples are used if unused ones outrank used ones (initial scores above "
        "every later loss) and q · epochs exceeds n with a little room; a ranking that leaves "
        "the same samples last leaves s − q of them unused for ever.",
    )


def _chance_of_unused(design: Design, epochs: int) -> float:
    """Bound on P(some sample unused) when unused candidates are kept before used ones."""
    n, s, q = design.n, design.s, design.q
    unused: float = n
    chance = 0.0
    for _ in range(epochs):
        if unused <= q:  # each unused sample is kept as soon as it is drawn
            unused *= 1 - s / n
            continue
        target = min(q, unused // 4)
        margin = s / n - target / unused
        if margin <= 0:
            return 1.0
        chance += math.exp(-2 * unused * margin**2)
        unused -= target
    # From the moment u ≤ q on, `unused` is an expectation: Markov's inequality.
    return min(1.0, chance + unused)


def _unused_first(score: int, classes: int) -> tuple[bool, arb]:
    """Whether a never-used sample outranks one whose stored loss is ln(classes)."""
    margin = score - arb(classes).log()
    if not (margin > 0 or margin < 0):
        raise UndecidedError("the enclosure of score − ln(classes) contains zero")
    return bool(margin > 0), margin


def _initial_score(score: int, classes: int, where: str) -> Finding:
    first, margin = _unused_first(score, classes)
    # The order Algorithm 1 would use: samples 0 and 1 used once, samples 2 and 3 never.
    used, constant = Fraction(math.log(classes)), Fraction(score)
    design = Design(4, 4, 2)
    (kept,) = selections(design, [used, used, constant, constant])
    return Finding(
        claimed="never-used samples rank before used ones",
        found=f"initial score {score}, loss of a used sample ln {classes} = "
        f"{math.log(classes):.3f}: {'unused' if first else 'used'} samples are kept first",
        holds=first and set(kept) == {2, 3},
        method="certified enclosure",
        numbers={
            "initial score": score,
            "ln(number of classes)": math.log(classes),
            "margin": float(margin.mid()),
            "radius of the margin's enclosure": float(margin.rad()),
        },
        correction=f"An initial score above ln {classes} = {math.log(classes):.3f} does it "
        f"({where}).",
    )


@claim
def release_init_cifar(score: int = 3, classes: int = 10) -> Finding:
    """Scores that start at 3, with CIFAR-10's initial loss near ln 10, try unused samples first.

    Source: code release.
    """
    return _initial_score(score, classes, "CIFAR-10")


@claim
def release_init_cifar100(score: int = 3, classes: int = 100) -> Finding:
    """The same start at 3 tries unused samples first on CIFAR-100, initial loss near ln 100.

    Source: code release, Table 2.
    """
    return _initial_score(score, classes, "CIFAR-100")


@claim
def release_init_imagenet(score: int = 1, classes: int = 1000) -> Finding:
    """Scores that start at 1, with ImageNet's initial loss near ln 1000, try unused samples first.

    Source: code release.
    """
    return _initial_score(score, classes, "ImageNet-1K")
