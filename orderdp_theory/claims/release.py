"""The authors' released code: what it does, beside what its README and the tables say of it."""

from collections.abc import Callable
from fractions import Fraction
from math import log

import numpy as np
from flint import arb

from orderdp_theory import Design
from orderdp_theory.claims.exact_training import Scores, selections, stale_problem, train, values
from orderdp_theory.claims.reading import Reading, UndecidedError
from orderdp_theory.claims.registry import Quote, claim

Seeding = Callable[[int, int], int]


@claim(
    "release",
    Quote(
        "README of the release",
        "it first samples a random subset of the training set, then keeps the top-q samples "
        "within that subset according to the current surrogate loss.",
    ),
)
def release_current_loss(ranking: Scores = "stored") -> list[Reading]:
    """The code ranks by the loss that a sample had when it was last used, as Algorithm 1 does."""
    losses, start, steps, design = stale_problem()
    kept = []
    for states in train(losses, design, start, steps, ranking):
        for state in states:
            current = values(losses, state.theta)
            ranked_by = state.scores if ranking == "stored" else current
            kept.append((*selections(design, ranked_by), *selections(design, current)))
    differ = sum(a != b for a, b in kept)
    return [
        Reading(
            "What the code keeps is the top q by the current losses.",
            differ == 0,
            f"two samples: stored and current losses keep different ones at {differ} of "
            f"{len(kept)} steps",
            "counterexample",
            {"steps": len(kept), "steps with another selection": differ},
            correction="It keeps the top q by the losses stored when the samples were last used.",
        )
    ]


@claim("release", Quote("CIFAR and ImageNet samplers: the draw is seeded with the epoch's number"))
def release_same_candidates(
    seed_of_draw: Seeding = lambda run, epoch: epoch, runs: int = 5, epochs: int = 20
) -> list[Reading]:
    """`seed_of_draw`: what seeds the candidate draw, by the run's seed and the epoch."""
    n, s = 1000, 500
    sets = [
        {
            tuple(sorted(np.random.RandomState(seed_of_draw(run, epoch)).permutation(n)[:s]))
            for run in range(runs)
        }
        for epoch in range(epochs)
    ]
    shared = sum(len(distinct) == 1 for distinct in sets)
    return [
        Reading(
            "Runs with different seeds draw the same candidate sets, so that the ± of the tables "
            "leaves the randomness of the selection out.",
            shared == epochs,
            f"{runs} runs share their candidate set in {shared} of {epochs} epochs",
            "simulation",
            {"runs": runs, "epochs": epochs, "epochs with one candidate set": shared},
            correction="The candidate sets differ between runs.",
        )
    ]


def initial_score(score: int, classes: int) -> list[Reading]:
    """Whether a never-used sample is kept before one whose stored loss is ln(classes)."""
    margin = score - arb(classes).log()
    if not (margin > 0 or margin < 0):
        raise UndecidedError("the enclosure of score − ln(classes) contains zero")
    # The order of Algorithm 1: samples 0 and 1 used once, samples 2 and 3 never.
    used = Fraction(score) - (1 if margin > 0 else -1)  # on the side of the score where ln is
    (kept,) = selections(Design(4, 4, 2), [used, used, Fraction(score), Fraction(score)])
    first = set(kept) == {2, 3}
    return [
        Reading(
            f"Scores that start at {score} make samples that were never used rank before used ones "
            f"of loss ln {classes}, the loss of an untrained classifier.",
            first,
            f"ln {classes} = {log(classes):.3f}: {'unused' if first else 'used'} samples are first",
            "certified enclosure",
            {"initial score": score, "score − ln(classes)": float(margin.mid())},
            correction=f"An initial score above ln {classes} = {log(classes):.3f} does it.",
        )
    ]


@claim("release", Quote("CIFAR code, CIFAR-10"))
def release_init_cifar(score: int = 3, classes: int = 10) -> list[Reading]:
    return initial_score(score, classes)


@claim("release", Quote("CIFAR code, CIFAR-100"))
def release_init_cifar100(score: int = 3, classes: int = 100) -> list[Reading]:
    return initial_score(score, classes)


@claim("release", Quote("ImageNet code"))
def release_init_imagenet(score: int = 1, classes: int = 1000) -> list[Reading]:
    return initial_score(score, classes)


@claim("release", Quote("CIFAR and ImageNet code: OneCycleLR at PyTorch's defaults"))
def release_momentum(
    ends: Fraction = Fraction(95, 100), peak: Fraction = Fraction(85, 100)
) -> list[Reading]:
    """`ends` is the momentum at both ends of training and `peak` that at the rate's peak."""
    printed = Fraction(9, 10)
    # Each half of a cosine spends its time evenly on both sides of its middle.
    mean = (ends + peak) / 2
    return [
        Reading(
            "The code trains with the momentum of 0.9 that Section 4.2 states.",
            ends == peak == printed,
            f"it goes from {float(ends)} to {float(peak)} and back to {float(ends)}",
            "comparison of printed words",
            {"at the ends": ends, "at the peak": peak},
            correction="0.9 is the mean over training of a momentum that is cycled.",
        ),
        Reading(
            "The mean of the momentum over training is 0.9.",
            mean == printed,
            f"the mean of both halves is {float(mean)}",
            "exact rational",
            {"mean": mean},
            words="not in the words",
        ),
    ]


@claim("release", Quote("ImageNet code: the scripts do not override the default"))
def release_weight_decay(decay: Fraction = Fraction(1, 10**5)) -> list[Reading]:
    printed = Fraction(5, 10**4)
    return [
        Reading(
            "The code trains ImageNet with the weight decay of 5e-4 that Section 4.2 states of all "
            "models.",
            decay == printed,
            f"it is {float(decay):g}, {float(printed / decay):g} times less",
            "comparison of printed words",
            {"paper": printed, "release": decay},
            correction="The weight decay is 1e-5.",
        )
    ]


@claim("release", Quote("ImageNet code: the script for ResNet-18"))
def release_batch_size(batch: int = 512) -> list[Reading]:
    printed = 1024
    return [
        Reading(
            "The code trains ResNet-18 on ImageNet at the batch size of 1024 that Appendix D.1 "
            "states for its peak rate of 1.98.",
            batch == printed,
            f"it is {batch}, at the same rate",
            "comparison of printed words",
            {"paper": printed, "release": batch},
            correction="The batch size of its script is 512.",
        )
    ]
