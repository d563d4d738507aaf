"""Proxies are trained once, and what is read back is what was recorded."""

import io
import os
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from orderdp_theory.common.errors import InputError
from orderdp_train.scores import (
    LastLayer,
    ModelProxy,
    Recording,
    Schedule,
    el2n,
    grand,
    per_sample_gradient_norms,
    record,
)
from tests.scores.oracles import random_layer

N = 7
SCHEDULE = Schedule(epochs=5, proxies=3, el2n=(1, 3), grand=(2,))


@dataclass
class Fake:
    """A proxy whose answers name its seed and epoch, and a log of what it is asked."""

    seed: int
    epoch: int
    log: list = field(default_factory=list)
    n: int = N

    def correct(self):
        self.log.append(("correct", self.seed, self.epoch))
        return (np.arange(self.n) + self.epoch) % 2 == 0

    def last_layer(self):
        self.log.append(("last_layer", self.seed, self.epoch))
        return random_layer(self.n, 3, 2, 10 * self.seed + self.epoch)

    def gradient_norms(self):
        self.log.append(("gradient_norms", self.seed, self.epoch))
        return np.arange(self.n) + self.seed

    def validation(self):
        self.log.append(("validation", self.seed, self.epoch))
        return random_layer(4, 3, 2, 99)

    def deepfool(self):
        self.log.append(("deepfool", self.seed, self.epoch))
        return -np.arange(self.n) / 10 - self.epoch


class Trainer:
    """Counts epochs; may break down in one."""

    def __init__(self, breaks_at=None, stops_after=100, sizes=None):
        self.trained, self.log = [], []
        self.breaks_at, self.stops_after, self.sizes = breaks_at, stops_after, sizes or {}

    def __call__(self, seed):
        for epoch in range(1, self.stops_after + 1):
            if (seed, epoch) == self.breaks_at:
                raise KeyboardInterrupt
            self.trained.append((seed, epoch))
            yield Fake(seed, epoch, self.log, self.sizes.get(seed, N))


def same(a: Recording, b: Recording) -> bool:
    return (
        all(torch.equal(a.el2n[e], b.el2n[e]) for e in a.el2n)
        and all(torch.equal(a.grand[e], b.grand[e]) for e in a.grand)
        and torch.equal(a.correct, b.correct)
        and all(
            torch.equal(getattr(mine, part), getattr(theirs, part))
            for mine, theirs in ((a.last_layer, b.last_layer), (a.validation, b.validation))
            for part in ("logits", "features", "targets")
        )
    )


def test_a_recording_is_what_the_proxies_said(tmp_path):
    recording = record(Trainer(), {"model": "fake"}, SCHEDULE, tmp_path, show_progress=False)
    for epoch in (1, 3):
        layers = [random_layer(N, 3, 2, 10 * seed + epoch) for seed in range(3)]
        each = torch.stack([el2n(x.probabilities, x.targets) for x in layers])
        np.testing.assert_allclose(recording.el2n[epoch], each.mean(0), rtol=1e-15)
    norms = np.stack([np.arange(N) + seed for seed in range(3)])
    assert torch.equal(recording.grand[2], grand(norms))
    assert recording.correct.tolist() == [
        [(i + epoch) % 2 == 0 for i in range(N)] for epoch in range(1, 6)
    ]
    assert torch.equal(recording.last_layer.logits, random_layer(N, 3, 2, 5).logits)
    assert torch.equal(recording.validation.features, random_layer(4, 3, 2, 99).features)


def test_proxies_train_and_answer_no_more_than_needed(tmp_path):
    trainer = Trainer()
    record(trainer, {}, SCHEDULE, tmp_path, show_progress=False)
    expected = [(0, e) for e in range(1, 6)] + [(s, e) for s in (1, 2) for e in range(1, 4)]
    assert trainer.trained == expected
    assert len(trainer.log) == len(set(trainer.log))
    assert [entry for entry in trainer.log if entry[0] == "correct"] == [
        ("correct", 0, e) for e in range(1, 6)
    ]
    assert [entry for entry in trainer.log if entry[0] == "validation"] == [("validation", 0, 5)]


def test_deepfool_is_asked_of_the_first_proxy_at_its_end_if_at_all(tmp_path):
    schedule = replace(SCHEDULE, deepfool=True)
    trainer = Trainer()
    recording = record(trainer, {}, schedule, tmp_path, show_progress=False)
    assert [entry for entry in trainer.log if entry[0] == "deepfool"] == [("deepfool", 0, 5)]
    np.testing.assert_array_equal(recording.deepfool, -np.arange(N) / 10 - 5)
    assert record(Trainer(), {}, SCHEDULE, tmp_path, show_progress=False).deepfool is None


def test_more_proxies_are_added_to_those_there_are(tmp_path):
    one = Trainer()
    record(one, {}, replace(SCHEDULE, proxies=1), tmp_path, show_progress=False)
    more = Trainer()
    recording = record(more, {}, SCHEDULE, tmp_path, show_progress=False)
    assert {seed for seed, _ in one.trained} == {0}
    assert {seed for seed, _ in more.trained} == {1, 2}
    assert same(recording, record(Trainer(), {}, SCHEDULE, tmp_path / "b", show_progress=False))


def test_a_loop_may_go_on_writing_to_what_it_gave(tmp_path):
    """`correct` of each epoch is that epoch's, though the proxy answers with one array."""
    live = np.zeros(N, dtype=bool)

    class Live(Fake):
        def correct(self):
            live[:] = np.arange(N) == self.epoch
            return live

    def train(seed):
        return (Live(seed, epoch) for epoch in range(1, 6))

    recording = record(train, {}, SCHEDULE, tmp_path, show_progress=False)
    expected = np.arange(N) == np.arange(1, 6)[:, None]
    np.testing.assert_array_equal(recording.correct, expected)


def test_of_two_calls_at_a_time_one_trains(tmp_path):
    trainers = [Trainer(), Trainer()]
    with ThreadPoolExecutor(2) as pool:
        calls = [
            pool.submit(record, t, {}, SCHEDULE, tmp_path, show_progress=False) for t in trainers
        ]
        assert same(*(call.result() for call in calls))
    assert sorted(len(t.trained) for t in trainers) == [0, 11]


def test_what_is_recorded_is_not_trained_again(tmp_path):
    first = record(Trainer(), {"lr": 0.1}, SCHEDULE, tmp_path, show_progress=False)
    again = Trainer()
    assert same(first, record(again, {"lr": 0.1}, SCHEDULE, tmp_path, show_progress=False))
    assert again.trained == []
    for configuration, schedule in (
        ({"lr": 0.2}, SCHEDULE),
        ({"lr": 0.1}, Schedule(epochs=5, proxies=3, el2n=(1,), grand=(2,))),
    ):
        other = Trainer()
        record(other, configuration, schedule, tmp_path, show_progress=False)
        assert other.trained
    assert len(list(tmp_path.iterdir())) == 3


def test_keys_in_another_order_are_the_same_configuration(tmp_path):
    record(Trainer(), {"a": 1, "b": [2, 3]}, SCHEDULE, tmp_path, show_progress=False)
    again = Trainer()
    record(again, {"b": (2, 3), "a": 1}, SCHEDULE, tmp_path, show_progress=False)
    assert again.trained == []


def test_an_interrupted_recording_goes_on_with_the_proxy_it_was_at(tmp_path):
    broken = Trainer(breaks_at=(1, 2))
    with pytest.raises(KeyboardInterrupt):
        record(broken, {}, SCHEDULE, tmp_path / "cache", show_progress=False)
    (home,) = (tmp_path / "cache").iterdir()
    assert sorted(p.name for p in home.iterdir()) == [
        ".lock",
        "configuration.json",
        "proxy-0.npz",
    ]
    after = Trainer()
    recording = record(after, {}, SCHEDULE, tmp_path / "cache", show_progress=False)
    assert {seed for seed, _ in after.trained} == {1, 2}
    assert same(recording, record(Trainer(), {}, SCHEDULE, tmp_path / "new", show_progress=False))


def test_a_full_disk_leaves_no_half_written_proxy(tmp_path, monkeypatch):
    """The second file, a proxy's, does not reach the disk."""
    calls = []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="no space"):
        record(Trainer(), {}, SCHEDULE, tmp_path, show_progress=False)
    (home,) = tmp_path.iterdir()
    assert sorted(p.name for p in home.iterdir()) == [".lock", "configuration.json"]
    after = Trainer()
    record(after, {}, SCHEDULE, tmp_path, show_progress=False)
    assert after.trained[0] == (0, 1)


def test_the_bar_counts_epochs(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    record(Trainer(), {}, SCHEDULE, tmp_path)
    assert "11/11" in capsys.readouterr().err
    record(Trainer(), {}, SCHEDULE, tmp_path)
    assert "11/11" in capsys.readouterr().err


def test_errors_say_what_is_wrong(tmp_path):
    def short(seed):
        return Trainer(stops_after=5 if seed == 0 else 2)(seed)

    with pytest.raises(ValueError, match="proxy 1 stopped after 2 of 3"):
        record(short, {}, SCHEDULE, tmp_path / "a", show_progress=False)
    with pytest.raises(ValueError, match="differ in the number"):
        record(Trainer(sizes={2: 3}), {}, SCHEDULE, tmp_path / "b", show_progress=False)
    with pytest.raises(TypeError):
        record(Trainer(), {"model": object()}, SCHEDULE, tmp_path / "c", show_progress=False)
    with pytest.raises(ValueError, match=r"after epochs \[20\]"):
        Schedule(epochs=10)
    with pytest.raises(ValueError, match="at least one epoch"):
        Schedule(epochs=0, el2n=(), grand=())
    record(Trainer(), {}, SCHEDULE, tmp_path / "d", show_progress=False)
    next((tmp_path / "d").rglob("proxy-1.npz")).write_bytes(b"half")
    with pytest.raises(ValueError, match=r"proxy-1\.npz is not a recorded proxy"):
        record(Trainer(), {}, SCHEDULE, tmp_path / "d", show_progress=False)


def damage(file, how):
    """Change the file of the first proxy, which is whole."""
    with np.load(file) as kept:
        arrays = dict(kept)
    if how == "bomb":  # a thousand times as large as it looks, and of the right names
        np.savez_compressed(file, **{k: np.zeros(10**6) for k in arrays})
    elif how == "compressed":
        np.savez_compressed(file, **arrays)
    elif how == "encrypted":
        raw = file.read_bytes().replace(b"PK\3\4\x2d\0\0", b"PK\3\4\x2d\0\1")
        file.write_bytes(raw.replace(b"PK\1\2\x2d\x03\x2d\0\0", b"PK\1\2\x2d\x03\x2d\0\1"))
    elif how == "huge":
        header = io.BytesIO()
        shape = {"descr": "<f8", "fortran_order": False, "shape": (10**15,)}
        np.lib.format.write_array_header_1_0(header, shape)
        with zipfile.ZipFile(file, "w") as archive:
            for name in arrays:
                archive.writestr(f"{name}.npy", header.getvalue())
    elif how == "pickled":
        np.savez(file, **arrays | {"correct": np.array([None, "x"], dtype=object)})
    else:
        np.savez(file, **{k: v for k, v in arrays.items() if k != how})


@pytest.mark.parametrize(
    "how",
    ["bomb", "encrypted", "huge", "pickled", "correct", "train-targets", "train-logits", "el2n-1"],
)
def test_a_damaged_or_forged_proxy_is_refused_and_nothing_is_unpacked(tmp_path, how):
    schedule = Schedule(epochs=2, proxies=1, el2n=(1,), grand=())
    record(Trainer(), {}, schedule, tmp_path, show_progress=False)
    file = next(tmp_path.rglob("proxy-0.npz"))
    damage(file, how)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"proxy-0\.npz is not a recorded proxy: remove it"):
            record(Trainer(), {}, schedule, tmp_path, show_progress=False)
        if how == "bomb":
            assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_the_first_proxy_alone_is_a_recording_without_scores(tmp_path):
    schedule = Schedule(epochs=2, proxies=2, el2n=(), grand=())
    trainer = Trainer()
    recording = record(trainer, {}, schedule, tmp_path, show_progress=False)
    assert recording.el2n == {}
    assert recording.grand == {}
    assert trainer.trained == [(0, 1), (0, 2)]


def data(n: int = 90) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    targets = torch.randint(3, (n,), generator=draws)
    return torch.randn(n, 5, generator=draws) + 2 * F.one_hot(targets, 5), targets


def test_real_proxies_in_a_real_training_loop(tmp_path):
    x, y = data()
    models = {}

    def train(seed, size=32):
        torch.manual_seed(seed)
        model = models[seed] = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)

        def batches():
            return zip(x.split(size), y.split(size), strict=True)

        while True:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            yield ModelProxy(model, model[2], batches, batches)

    schedule = Schedule(epochs=4, proxies=2, el2n=(2, 4), grand=(4,))
    recording = record(train, {}, schedule, tmp_path, show_progress=False)
    with torch.no_grad():
        probabilities = torch.stack([models[seed](x).softmax(1) for seed in range(2)])
    norms = torch.stack([per_sample_gradient_norms(models[s], x, y) for s in range(2)])
    # Single precision throughout, in batches of another size.
    np.testing.assert_allclose(recording.el2n[4], el2n(probabilities, y), rtol=1e-4)
    np.testing.assert_allclose(recording.grand[4], grand(norms), rtol=1e-4)
    assert recording.correct.shape == (4, 90)
    assert torch.equal(recording.correct[-1], probabilities[0].argmax(1) == y)
    assert torch.equal(recording.last_layer.targets, y)
    with torch.no_grad():
        hidden = models[0][1](models[0][0](x))
    np.testing.assert_allclose(recording.last_layer.features, hidden, rtol=1e-4, atol=1e-6)
    assert torch.equal(recording.validation.logits, recording.last_layer.logits)


def test_a_model_proxy_puts_the_model_back_and_needs_a_bias():
    x, y = data(10)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 3))
    proxy = ModelProxy(model, model[1], lambda: [(x, y)])
    assert isinstance(proxy.last_layer(), LastLayer)
    assert torch.equal(proxy.last_layer().logits, proxy.last_layer().logits)  # no dropout
    assert all(module.training for module in model.modules())
    assert not model[1]._forward_pre_hooks
    assert proxy.validation() is None
    with pytest.raises(ValueError, match="bias"):
        ModelProxy(model, nn.Linear(5, 3, bias=False), lambda: [(x, y)])
