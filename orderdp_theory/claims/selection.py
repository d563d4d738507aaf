"""Section 2 and D.4: what Algorithm 1 draws, keeps and stores."""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import total_ordering
from itertools import combinations

from orderdp_theory import Design
from orderdp_theory.claims.chance import hypergeometric_tail
from orderdp_theory.claims.designs import all_designs
from orderdp_theory.claims.exact_training import (
    Refresh,
    distance_loss,
    epoch,
    expectation,
    selections,
    train,
    vector,
)
from orderdp_theory.claims.reading import Reading, tally
from orderdp_theory.claims.registry import Quote, claim
from orderdp_theory.claims.tables import numbers_in

CIFAR = 50_000
SORTING = Quote(
    "§2.2",
    r"The sorting step can be reduced to $O(\log q)$ time per sample (even $O(1)$ when $q "
    "= 1$), with constant memory overhead, unlike other dynamic methods such as UCB (Raju "
    r"et al., 2021) and InfoBatch (Qin et al., 2024), which require either $O(\log n)$ "
    "time or $O(n)$ storage.",
)

LINE_11 = Quote(
    "Algorithm 1, line 11",
    r"$\mathcal{H}_{t+1}(\theta^{t+1}, z_i) = \begin{cases} \mathcal{L}_i(\theta^t, z_i), & i \in "
    r"Q^t, \\ \mathcal{H}_t(\theta^t, z_i), & \text{otherwise.} \end{cases}$",
)
TABLE_8 = Quote(
    "Table 8",
    "InfoBatch and OrderDP are trained for 200 epochs (checkpoints at 20%, 40%, 60%, 80%, "
    "and final 100%), with learning rate = 0.03 and batch size = 128.",
)


@claim(
    "algorithm",
    Quote(
        "§2.2",
        r"enforces an exact prune ratio of $1 - (q/s) \cdot (s/|\mathcal{D}|)$ for predictable "
        "speed-ups.",
    ),
)
def sec2_prune_ratio(
    prune_ratio: Callable[[Design], Fraction] = lambda d: (
        1 - Fraction(d.q, d.s) * Fraction(d.s, d.n)
    ),
) -> list[Reading]:
    result = tally(
        (d, {1 - Fraction(len(kept), d.n) for kept in selections(d, [Fraction(0)] * d.n)}
         == {prune_ratio(d)})
        for d in all_designs(8)
    )  # fmt: skip
    return [
        Reading(
            "Every draw keeps exactly the fraction (q/s)(s/|D|) = q/n.",
            result.holds,
            f"true of {result.agreeing} of {result.cases} designs with n ≤ 8, all draws counted",
            "exact enumeration",
            result.numbers("designs"),
        )
    ]


Draws = Callable[[Design], Iterator[tuple[int, ...]]]


def every_candidate_set(d: Design) -> Iterator[tuple[int, ...]]:
    """The candidate sets, ranks from the best down; each is equally likely."""
    return combinations(range(d.n), d.s)


@claim(
    "algorithm",
    Quote(
        "§2.2",
        "Uniform sampling ensures every sample has a non-zero chance of being selected, "
        "improving robustness",
    ),
)
def sec2_nonzero_chance(draws: Draws = every_candidate_set) -> list[Reading]:
    """The last s − q ranks: a candidate set that holds one of them also holds q better ones."""
    designs = list(all_designs(9))
    drawn = tally((d, {i for c in draws(d) for i in c} == set(range(d.n))) for d in designs)
    reached = {d: {i for c in draws(d) for i in c[: d.q]} for d in designs}
    kept = tally((d, reached[d] == set(range(d.n))) for d in designs)
    default = Design.from_ratios(CIFAR)
    return [
        Reading(
            "Every sample can be selected by the uniform sampling, as a candidate.",
            drawn.holds,
            f"true of {drawn.agreeing} of {drawn.cases} designs with n ≤ 9; the chance is s/n",
            "exact enumeration",
            drawn.numbers("designs"),
        ),
        Reading(
            "Every sample, whatever its rank, can be selected for the update set Q.",
            kept.holds,
            f"false for {len(kept.failures)} of {kept.cases} designs: with q < s the last s − q "
            f"ranks are never kept ({default.s - default.q} ranks at n = {CIFAR}, default)",
            "exact enumeration",
            {
                **kept.numbers("designs"),
                "designs where exactly the last s − q ranks are never kept": sum(
                    reached[d] == set(range(d.n - d.s + d.q)) for d in designs
                ),
                "ranks never kept at n = 50000, s = n/2, q = 0.6 s": default.s - default.q,
            },
            correction="A sample can be kept if and only if its rank is at most n − s + q.",
        ),
    ]


def scores_needed(n: int) -> int:
    """How many of n stored scores change some selection of Algorithm 1 when they alone change."""
    stored = [2 * i for i in range(n)]

    def selects(scores: Sequence[int]) -> list[int]:
        return [max(pair, key=lambda i: scores[i]) for pair in combinations(range(n), 2)]

    # Sample i alone gets another score: the best, or the worst if it was the best.
    others = ([*stored[:i], 2 * n if i < n - 1 else -1, *stored[i + 1 :]] for i in range(n))
    return sum(selects(stored) != selects(other) for other in others)


@claim("algorithm", SORTING)
def sec2_constant_memory(
    capacity: Callable[[int, int], int] = lambda n, q: q, q: int = 4
) -> list[Reading]:
    populations = (16, 32, 64)

    def largest_heap(n: int) -> int:
        heap: list[int] = []
        largest = 0
        for score in range(n // 2):
            heapq.heappush(heap, score)
            largest = max(largest, len(heap))
            if len(heap) > capacity(n, q):
                heapq.heappop(heap)
        return min(largest, capacity(n, q) + 1)

    heaps = {n: largest_heap(n) for n in populations}
    needed = {n: scores_needed(n) for n in populations}
    return [
        Reading(
            "The sorting step holds a number of entries that does not depend on n.",
            len(set(heaps.values())) == 1,
            f"selecting the top {q} of n/2 candidates holds "
            + ", ".join(f"{v} entries at n = {n}" for n, v in heaps.items()),
            "operation count",
            {f"entries held at n = {n}, q = {q}": v for n, v in heaps.items()},
        ),
        Reading(
            "The method as a whole, its scores included, stores a number of values that does not "
            "depend on n.",
            len(set(needed.values())) == 1,
            "Algorithm 1 cannot do without "
            + ", ".join(f"{v} stored scores at n = {n}" for n, v in needed.items()),
            "exact enumeration",
            {f"scores needed at n = {n}": v for n, v in needed.items()},
            correction="Algorithm 1 stores one score per sample, O(n), as InfoBatch does.",
        ),
    ]


@claim("algorithm", SORTING)
def sec2_heap_cost(
    allowed: Callable[[int], float] = lambda q: 2 + 2 * math.log2(q),
) -> list[Reading]:
    """Comparisons on the worst order for a heap of q, scores that only rise, and on its reverse."""
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

    costs = {q: per_sample(q, 2048) for q in (1, 4, 16, 64, 256)}
    return [
        Reading(
            "Selecting the top q takes at most 2 + 2 log₂ q comparisons per sample.",
            all(cost <= allowed(q) for q, cost in costs.items()),
            ", ".join(f"{cost:.1f} at q = {q}" for q, cost in costs.items()),
            "operation count",
            {f"comparisons per sample at q = {q}": cost for q, cost in costs.items()},
        )
    ]


@claim(
    "algorithm",
    Quote(
        "§2.1 Eq. 2",
        r"\mathcal{H}_{t+1}(\theta^{t+1}, z_i) = \begin{cases} \mathcal{L}_i(\theta^{t+1}, "
        r"z_i), & i \in Q_t, \\",
    ),
    LINE_11,
)
def sec2_score_timing(
    equation_2: Refresh = "after the step", algorithm_1: Refresh = "before the step"
) -> list[Reading]:
    losses = [distance_loss(vector(1)), distance_loss(vector(1), centre=1)]

    def stored(refresh: Refresh) -> Fraction:
        *_, last = train(losses, Design(2, 2, 1), vector(3), [Fraction(1)], "stored", refresh)
        (state,) = last
        return state.scores[0]

    after, before = stored(equation_2), stored(algorithm_1)
    return [
        Reading(
            "The score stored for a retained sample is the same by Eq. 2 and by Algorithm 1.",
            after == before,
            f"after one step from θ = 3 on |θ|, |θ − 1| Eq. 2 stores {after}, Algorithm 1 {before}",
            "counterexample",
            {"score by Eq. 2": after, "score by Algorithm 1": before},
            rival="Algorithm 1, line 11",
            correction="The score that a step can store without a second forward pass is the loss "
            "at θ^t, as in Algorithm 1.",
        )
    ]


@claim(
    "algorithm",
    Quote(
        "§1",
        "At the beginning of each epoch, we randomly sample a batch of data points from the "
        "full dataset to form a pruning candidate pool.",
    ),
    Quote(
        "Fig. 2",
        "at each iteration, a candidate batch is sampled uniformly, the top- q examples are "
        "selected by score to compute a subgradient and update model parameters",
    ),
    TABLE_8,
)
def sec1_selection_per_epoch(minibatches: int = 2, pruned: int = 70) -> list[Reading]:
    losses = [distance_loss(vector(k), centre) for k, centre in ((1, 0), (2, 1), (1, 3), (3, 7))]
    design, start, step = Design(4, 3, 2), vector(Fraction(1, 3)), Fraction(3)

    *_, last = train(losses, design, start, [step] * minibatches, "stored")
    by_iteration = expectation(last, lambda state: state.theta[0])
    ends = epoch(losses, design, start, step, minibatches)
    by_epoch = sum((theta[0] * chance for theta, chance in ends.items()), Fraction(0))
    batch = int(numbers_in(TABLE_8.words)[-1])
    kept = CIFAR * (100 - pruned) // 100
    return [
        Reading(
            "An epoch is one iteration of Algorithm 1, so that an update uses all q samples and q "
            "is the batch size.",
            kept == batch,
            f"q = {kept} at {pruned} % pruning, the batch size is {batch}",
            "arithmetic on printed numbers",
            {"q": kept, "batch size": batch},
            rival="Table 8",
        ),
        Reading(
            "An epoch is a pass of several updates over one kept set, and that is Algorithm 1.",
            by_iteration == by_epoch,
            f"E[θ] after {minibatches} updates of a problem on the line: {by_iteration} by "
            f"Algorithm 1, {by_epoch} with one selection",
            "counterexample",
            {"E[θ], Algorithm 1": by_iteration, "E[θ], one selection": by_epoch},
            rival="Algorithm 1 and Fig. 2",
            correction="What is trained selects once an epoch; Theorems 1 and 3 are about one "
            "update per selection.",
        ),
    ]


@claim(
    "experiments",
    Quote(
        "D.4",
        "Across all pruning ratios, we observe that *no sample has zero usage count*: every "
        "example is selected at least once during training.",
    ),
    Quote(
        "D.4",
        "indicating that **OrderDP** does not permanently discard any data point but instead "
        "explores the entire dataset with a frequency controlled by (s, q) .",
    ),
)
def d4_full_coverage(
    epochs: int = 200,
    prune_ratio: Fraction = Fraction(99, 100),
    explore: Fraction = Fraction(1, 2),
) -> list[Reading]:
    """If samples not used yet outrank used ones they are kept when drawn; else s − q are lost."""
    design = Design(CIFAR, int(explore * CIFAR), int((1 - prune_ratio) * CIFAR))
    never = design.s - design.q
    chance = chance_of_unused(design, epochs)
    return [
        Reading(
            "Every sample is selected during training, whatever the losses do.",
            never == 0,
            f"while the ranking stays, {never} of {CIFAR} samples are never selected (99 % pruned)",
            "exact rational",
            {"never selected under one ranking": never},
            correction="It depends on the ranking: one that leaves the same samples last leaves "
            "s − q of them unused for ever.",
        ),
        Reading(
            "Every sample is selected during training if unused ones outrank used ones (initial "
            "scores above every later loss).",
            chance <= 1e-9,
            f"chance of a sample without use in {epochs} epochs at 99 % pruning ≤ {chance:.0e}",
            "exact tail probability",
            {"n": CIFAR, "s": design.s, "q": design.q, "epochs": epochs, "chance ≤": chance},
            words="with a condition",
        ),
    ]


def chance_of_unused(design: Design, epochs: int) -> float:
    """Bound on P(some sample unused) when unused candidates are kept before used ones.

    With u unused samples, fewer than q (or ⌊u/4⌋) of them are candidates with a hypergeometric
    chance; these are added up. From u ≤ q on every unused candidate is kept: Markov's inequality.
    """
    n, s, q = design.n, design.s, design.q
    unused: float = n
    chance = 0.0
    for _ in range(epochs):
        if unused <= q:
            unused *= 1 - s / n
            continue
        target = min(q, int(unused) // 4)
        # P(X < target) by symmetry: the others among the candidates are s − X.
        chance += float(hypergeometric_tail(n, n - int(unused), s, s - target + 1).upper())
        unused -= target
    return min(1.0, chance + unused)
