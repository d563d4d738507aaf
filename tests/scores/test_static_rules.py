"""Static methods as rules: each keeps what its function keeps, once, from one recording."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from orderdp_train import RULES, RuleConfig, register
from orderdp_train.scores import (
    LastLayer,
    Recording,
    Schedule,
    StaticRule,
    contextual_diversity,
    craig,
    dataset_pruning,
    el2n,
    entropy,
    forgetting,
    glister,
    herding,
    influence,
    k_center,
    k_means_prototypes,
    keep_top,
    least_confidence,
    margin,
    parameter_influences,
)
from orderdp_train.scores._glister import STEP
from orderdp_train.scores._influence import DAMPING
from tests.rules.laws import same_after_reload
from tests.scores.oracles import random_layer

N, KEPT, EPOCHS, SEED = 40, 12, 30, 3
STATIC = [name for name, cls in RULES.items() if cls.needs_recording]


class Recorder:
    """Answers with a recording that names what was asked, and remembers the question."""

    def __init__(self, n: int = N) -> None:
        self.n, self.asked = n, []

    def __call__(self, schedule: Schedule, held_out: float) -> Recording:
        self.asked.append((schedule, held_out))
        draws = torch.Generator().manual_seed(0)

        def scores() -> Tensor:
            return torch.rand(self.n, generator=draws, dtype=torch.float64)

        return Recording(
            el2n={e: scores() for e in schedule.el2n},
            grand={e: scores() for e in schedule.grand},
            correct=torch.rand(schedule.epochs, self.n, generator=draws) < 0.7,
            last_layer=random_layer(self.n, 3, 4, 1),
            validation=random_layer(9, 3, 4, 2) if held_out else None,
            deepfool=-scores() if schedule.deepfool else None,
        )


def built(name: str, recorder: Recorder | None = None, **options) -> StaticRule:
    config = RuleConfig(name, {"keep": KEPT / N, **options})
    rule = config.build(N, recorder=recorder or Recorder(), epochs=EPOCHS, seed=SEED)
    assert isinstance(rule, StaticRule)
    return rule


def drawn() -> torch.Generator:
    return torch.Generator().manual_seed(10**6 + SEED)


def by_hand(
    name: str, recording: Recording, classes: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """What a method keeps of a recording, written out."""
    layer, validation, draws = recording.last_layer, recording.validation, drawn()
    p = layer.probabilities
    subsets: Mapping = {
        "contextual-diversity": lambda: contextual_diversity(p, KEPT, draws, classes=classes),
        "herding": lambda: herding(layer.features, KEPT, classes=classes),
        "k-center": lambda: k_center(layer.features, KEPT, draws, classes=classes),
        "glister": lambda: glister(layer, validation, KEPT, STEP, classes=classes),
        "dataset-pruning": lambda: dataset_pruning(
            parameter_influences(layer, DAMPING), KEPT, draws, classes=classes
        ),
    }
    scores: Mapping = {
        "el2n": lambda: recording.el2n[20],
        "grand": lambda: recording.grand[4],
        "deepfool": lambda: recording.deepfool,
        "forgetting": lambda: forgetting(recording.correct),
        "least-confidence": lambda: least_confidence(p),
        "entropy": lambda: entropy(p),
        "margin": lambda: margin(p),
        "influence": lambda: influence(layer, validation, DAMPING),
        "k-means-prototypes": lambda: k_means_prototypes(layer.features, 3, draws),
    }
    if name == "craig":
        return craig(layer.logit_gradients(), KEPT, classes=classes)
    if name in subsets:
        return subsets[name](), None
    return keep_top(scores[name](), KEPT, draws, classes=classes), None


@pytest.mark.parametrize("balance", ["classes", "none"])
@pytest.mark.parametrize("name", STATIC)
def test_a_rule_keeps_what_its_function_keeps(name, balance):
    recorder = Recorder()
    rule = built(name, recorder, balance=balance)
    assert recorder.asked == []  # nothing is trained before it is needed
    indices, weights = rule.select(torch.Generator())
    [(schedule, held_out)] = recorder.asked
    recording = Recorder()(schedule, held_out)
    classes = recording.last_layer.targets if balance == "classes" else None
    expected, own = by_hand(name, recording, classes)
    assert torch.equal(indices, expected)
    assert len(set(indices.tolist())) == rule.budget == KEPT
    own = torch.ones(KEPT, dtype=torch.float64) if own is None else own
    torch.testing.assert_close(weights.double(), own * KEPT / own.sum(), rtol=1e-7, atol=0)
    w = torch.zeros(N, dtype=torch.float64)
    w[expected] = own / own.sum()
    torch.testing.assert_close(rule.expected_weights(), w, rtol=1e-14, atol=0)
    design = rule.second_order()
    assert design is not None
    assert torch.equal(design.inclusion, (w > 0).double())
    rule.select(torch.Generator())
    assert len(recorder.asked) == 1


def test_all_static_methods_are_here():
    paper = "el2n grand forgetting least-confidence margin deepfool influence herding k-center"
    more = "contextual-diversity craig glister dataset-pruning entropy k-means-prototypes"
    assert set(STATIC) == set(f"{paper} {more}".split())
    assert {name for name in STATIC if RULES[name].options["balance"].default == "classes"} == {
        "craig"
    }


@pytest.mark.parametrize("name", STATIC)
def test_what_shares_proxies_asks_for_the_same_schedule(name):
    """Files of proxies are shared by schedules that differ in the number of proxies alone."""
    recorder = Recorder()
    built(name, recorder).prepare()
    [(schedule, held_out)] = recorder.asked
    assert (held_out == 0.1) == (name in ("influence", "glister"))
    assert schedule.proxies == (10 if name in ("el2n", "grand") else 1)
    usual = Schedule(EPOCHS, el2n=() if held_out else (2, 20), grand=() if held_out else (4,))
    assert replace(schedule, proxies=10) == replace(usual, deepfool=name == "deepfool")


def test_the_epoch_of_scores_is_an_option_and_never_beyond_the_training():
    for epoch, found in ((2, 2), (7, 7), (30, 30), (99, 30)):
        for name in ("el2n", "grand"):
            recorder = Recorder()
            kept = built(name, recorder, epoch=epoch).select(torch.Generator())[0]
            [(schedule, _)] = recorder.asked
            scores = getattr(Recorder()(schedule, 0.0), name)[found]
            assert torch.equal(kept, keep_top(scores, KEPT, drawn()))
    recorder = Recorder()
    rule = RuleConfig("el2n", {"keep": KEPT / N}).build(N, recorder=recorder, epochs=3)
    rule.prepare()
    assert recorder.asked[0][0] == Schedule(3, el2n=(2, 3), grand=(3,))


@pytest.mark.parametrize("name", ["craig", "herding"])
def test_a_state_is_enough_to_go_on(name):
    rule, recorder = built(name), Recorder()
    rule.prepare()
    same_after_reload(rule, built(name, recorder))
    assert recorder.asked == []
    without = RuleConfig(name, {"keep": KEPT / N}).build(N)  # as an audit of a run builds it
    same_after_reload(rule, without)
    other = built("margin")
    with pytest.raises(ValueError, match="another subset"):
        rule.load_state_dict(other.state_dict())


def test_what_is_missing_is_said():
    with pytest.raises(ValueError, match="herding needs a recorder"):
        RuleConfig("herding").build(N, epochs=EPOCHS).prepare()
    with pytest.raises(ValueError, match="needs the epochs"):
        RuleConfig("herding").build(N, recorder=Recorder()).prepare()
    with pytest.raises(ValueError, match="recording is of 7 samples, not of 40"):
        RuleConfig("herding").build(N, recorder=Recorder(7), epochs=EPOCHS).prepare()
    with pytest.raises(ValueError, match="balance must be none or classes, got 1"):
        RuleConfig("herding", {"balance": 1.0})
    with pytest.raises(ValueError, match="no fixed budget to split"):
        RuleConfig("herding").per_step(N, 4)
    with pytest.raises(ValueError, match="herding has no option 'epoch'"):
        RuleConfig("herding", {"epoch": 4})


@pytest.fixture
def first_samples() -> Iterator[type[StaticRule]]:
    @register
    class First(StaticRule):
        """The first k."""

        name, label = "first", "the first"

        def subset(self, recording, k, classes, generator):
            return torch.arange(k)

    yield First
    del RULES["first"]


@pytest.mark.usefixtures("first_samples")
def test_a_new_method_is_one_class():
    assert built("first").select(torch.Generator())[0].tolist() == list(range(KEPT))


def test_static_random_is_drawn_once_by_its_seed():
    config = RuleConfig("static-random", {"keep": KEPT / N})
    kept = [config.build(N, seed=seed).select(torch.Generator())[0] for seed in (0, 0, 1)]
    assert torch.equal(kept[0], kept[1])
    assert set(kept[0].tolist()) != set(kept[2].tolist())
    counts = torch.zeros(N)
    for seed in range(400):
        counts[config.build(N, seed=seed).select(torch.Generator())[0]] += 1
    # 120 each in the mean, binomial: 6 standard deviations, a chance below 1e-7 over all.
    assert (counts - 120).abs().max() < 6 * (400 * 0.3 * 0.7) ** 0.5


def test_fewer_features_are_the_principal_components():
    layer = random_layer(30, 3, 5, 4)
    assert layer.reduced(5) is layer
    reduced = layer.reduced(2)
    x = layer.features.double() - layer.features.double().mean(0)
    left, sizes, _ = torch.linalg.svd(x, full_matrices=False)
    top = left[:, :2] * sizes[:2]
    # The same up to a rotation: inner products agree, to rounding of products of order n.
    torch.testing.assert_close(
        reduced.features @ reduced.features.T, top @ top.T, rtol=1e-10, atol=1e-10
    )
    assert torch.equal(reduced.logits, layer.logits)


def test_a_large_last_layer_is_reduced_before_its_hessian(monkeypatch):
    recorder = Recorder()
    rule = built("dataset-pruning", recorder)
    monkeypatch.setattr("orderdp_train.scores._dataset_pruning.MOST_PARAMETERS", 9)
    layer = recorder(Schedule(EPOCHS), 0.0).last_layer
    small = LastLayer(layer.logits, layer.reduced(2).features, layer.targets)
    expected = dataset_pruning(parameter_influences(small, DAMPING), KEPT, drawn())
    assert torch.equal(rule.select(torch.Generator())[0], expected)


def test_el2n_is_the_functions_own_in_a_recording():
    """That a recording's scores are those of `el2n` is the recorder's test; here they are kept."""
    layer = random_layer(N, 3, 4, 1)
    scores = el2n(layer.probabilities, layer.targets)
    recorder = Recorder()
    recording = replace(recorder(Schedule(EPOCHS), 0.0), el2n={2: scores, 20: scores})
    rule = RuleConfig("el2n", {"keep": KEPT / N}).build(
        N, recorder=lambda *_: recording, epochs=EPOCHS
    )
    kept = set(rule.select(torch.Generator())[0].tolist())
    assert kept == set(scores.argsort(descending=True)[:KEPT].tolist())
