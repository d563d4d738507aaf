"""Any model, any batch, any loss: against one gradient a sample, taken one at a time."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from orderdp_theory import Design
from orderdp_train.auditing import Population, audit, expected_gradients, supervised
from orderdp_train.auditing.population import population_of
from orderdp_train.rules import OrderDP, RandomSubset
from tests.auditing.problem import CLASSES

N, WIDTH = 30, 5
Loss = Callable[[nn.Module, Any], Tensor]
Sample = dict[str, Any]


def samples() -> list[Sample]:
    """Sentences of one to six tokens, each with a class: nothing that a tensor could hold."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for i in range(N):
        length = int(torch.randint(1, 7, (1,), generator=generator))
        tokens = torch.randint(9, (length,), generator=generator)
        found.append({"tokens": tokens, "about": {"label": i % CLASSES, "name": f"sentence {i}"}})
    return found


def padded(batch: list[Sample]) -> Sample:
    """Nested, with a mask, and with names that are no tensors."""
    tokens = [sample["tokens"] for sample in batch]
    return {
        "text": (nn.utils.rnn.pad_sequence(tokens, batch_first=True),),
        "lengths": torch.tensor([len(t) for t in tokens]),
        "about": {
            "label": torch.tensor([sample["about"]["label"] for sample in batch]),
            "names": [sample["about"]["name"] for sample in batch],
        },
    }


def sentence_loss(model: nn.Module, batch: Sample) -> Tensor:
    """Of outputs that are a dictionary."""
    outputs = model(batch["text"][0], batch["lengths"])
    return F.cross_entropy(outputs["logits"], batch["about"]["label"], reduction="none")


class Sentences(nn.Module):
    """The mean of embedded tokens through an adapter, on a backbone that may be frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, WIDTH)
        self.backbone = nn.Linear(WIDTH, WIDTH)
        self.adapter = nn.Sequential(nn.Linear(WIDTH, 2, bias=False), nn.Linear(2, WIDTH))
        self.head = nn.Linear(WIDTH, CLASSES)

    def mix(self, words: Tensor, mask: Tensor) -> Tensor:
        words = self.backbone(words)
        return ((words + self.adapter(words)) * mask).sum(1) / mask.sum(1)

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        mask = (torch.arange(tokens.shape[1]) < lengths[:, None])[..., None].double()
        return {"logits": self.head(torch.tanh(self.mix(self.embed(tokens), mask)))}


class Deep(Sentences):
    """Adaptive depth: as many rounds through one layer as the longest sentence of a batch."""

    def mix(self, words: Tensor, mask: Tensor) -> Tensor:
        state = torch.zeros(len(words), WIDTH, dtype=words.dtype)
        for word, here in zip(words.unbind(1), mask.unbind(1), strict=True):
            state = torch.where(here > 0, torch.tanh(self.backbone(state + word)), state)
        return state + self.adapter(state)


class Experts(Sentences):
    """A sparse mixture: each expert is called on the samples that are sent to it, if there are."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def mix(self, words: Tensor, mask: Tensor) -> Tensor:
        state = super().mix(words, mask)
        choice = state[:, :3].argmax(1)
        found = torch.zeros_like(state)
        for i, expert in enumerate(self.experts):
            if bool((choice == i).any()):
                found = found.index_put(
                    ((choice == i).nonzero()[:, 0],), expert(state[choice == i])
                )
        return found


def build(cls: type[Sentences], *, frozen: bool = False) -> Sentences:
    torch.manual_seed(1)
    model = cls().double().eval()
    if frozen:
        model.requires_grad_(False)
        model.adapter.requires_grad_(True)
    return model


def gradients(model: nn.Module) -> Tensor:
    rows = []
    parameters = [p for p in model.parameters() if p.requires_grad]
    for sample in samples():
        loss = sentence_loss(model, padded([sample])).sum()
        grads = torch.autograd.grad(loss, parameters, materialize_grads=True)
        rows.append(torch.cat([g.flatten() for g in grads]))
    return torch.stack(rows)


def covariance(rows: Tensor, kept: int) -> float:
    """The trace for the mean of a uniform subset without replacement."""
    n = len(rows)
    spread = float((rows - rows.mean(0)).square().sum()) / (n - 1)
    return spread * (1 / kept - 1 / n)


@pytest.mark.parametrize("cls", [Sentences, Deep, Experts])
@pytest.mark.parametrize("frozen", [False, True])
def test_an_audit_of_any_model(cls: type[Sentences], frozen: bool) -> None:
    model = build(cls, frozen=frozen)
    stored = OrderDP(Design(N, 20, 8))
    stored.update(torch.arange(N), torch.rand(N, generator=torch.Generator().manual_seed(2)))
    found = audit(
        model,
        samples(),
        {"stored": stored, "random": RandomSubset(N, 7)},
        loss=sentence_loss,
        collate=padded,
        draws=60,
        batch_size=4,
    )
    rows = gradients(model)
    full = rows.mean(0)
    assert found.parameters == rows.shape[1]
    expected = stored.expected_weights() @ rows
    norm = float(full.norm())
    assert found["stored"].bias == pytest.approx(float((expected - full).norm()) / norm, rel=1e-9)
    assert found["random"].bias < 1e-9
    variance = found["random"].variance
    assert variance == pytest.approx(covariance(rows, 7) / norm**2, rel=1e-9)
    # Names and lengths do not keep samples from being mapped; routing does, and the result says so.
    slow = " ".join(found.slow)
    assert ("each sample" in slow) == (cls is Experts and not frozen)
    if not frozen:
        assert ("backbone.weight" in slow) == (cls is Deep)
        assert ("experts.1.weight" in slow) == (cls is Experts)


@pytest.mark.parametrize("cls", [Deep, Experts])
def test_a_layer_that_is_local_in_some_batches_is_noticed_in_the_others(
    cls: type[Sentences],
) -> None:
    """Batches of one layout first, so that only a later one shows what the layer is."""
    model = build(cls)
    whole = padded(samples())
    if cls is Deep:
        key = whole["lengths"]
    else:
        with torch.no_grad():
            words = model.backbone(model.embed(whole["text"][0]))
            mask = (torch.arange(words.shape[1]) < whole["lengths"][:, None])[..., None].double()
            state = Sentences.mix(model, model.embed(whole["text"][0]), mask)
        key = state[:, :3].argmax(1)
    order = key.argsort(stable=True)
    generator = torch.Generator().manual_seed(3)
    weights = torch.rand(2, N, generator=generator, dtype=torch.float64)
    population = population_of(
        samples(), device=torch.device("cpu"), loss=sentence_loss, collate=padded
    )
    names: list[str] = []
    found = expected_gradients(
        model, population, weights, order=order, batch_size=4, on_general=names.append
    )
    torch.testing.assert_close(found, weights @ gradients(model)[order], rtol=1e-9, atol=1e-12)
    assert any(name.startswith(("backbone", "experts")) for name in names)
    assert "head.weight" not in names


def test_outputs_may_be_anything_and_pairs_need_no_loss_of_the_model() -> None:
    model = nn.Linear(3, CLASSES)
    data = [(torch.randn(3), i % CLASSES) for i in range(10)]
    rules = [RandomSubset(10, 4)]
    plain = audit(model, data, rules, draws=0)
    same = audit(model, data, rules, draws=0, loss=supervised(_plain))
    assert same == plain
    assert plain.slow == []


def _plain(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs, targets, reduction="none")


def test_a_stream_has_no_samples_to_visit() -> None:
    class Endless(IterableDataset[Tensor]):
        def __iter__(self):
            yield torch.zeros(3)

        def __len__(self) -> int:
            return 10

    with pytest.raises(
        TypeError, match=r"Endless has no length or indexing; .* map-style"
    ) as error:
        audit(nn.Linear(3, CLASSES), Endless(), [RandomSubset(10, 4)])
    assert "\n" not in str(error.value)


def test_a_data_set_has_both_a_length_and_samples_by_index() -> None:
    class Bottomless:
        def __getitem__(self, i: int) -> Tensor:
            return torch.zeros(3)

    for neither in ({1, 2}, Bottomless()):
        with pytest.raises(TypeError, match="has no length or indexing"):
            audit(nn.Linear(3, CLASSES), neither, [RandomSubset(2, 1)])


def test_a_population_has_its_own_batches() -> None:
    model = build(Sentences)
    everything = samples()
    population = Population(N, lambda i: padded([everything[k] for k in i.tolist()]), sentence_loss)
    assert population.all_losses(model, 7).shape == (N,)
