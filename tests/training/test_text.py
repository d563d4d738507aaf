"""Losses of sequences, the embedded prose, and the small transformer."""

import json
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from orderdp_theory import Design
from orderdp_theory.common.command import run as command_line
from orderdp_train import (
    OrderDP,
    Recipe,
    RuleConfig,
    RunConfig,
    audit,
    load_data,
    run,
    sequence_losses,
    train,
)
from orderdp_train.auditing import Population, supervised
from orderdp_train.cli.app import app
from orderdp_train.data import DATA_SETS, TextDataSet, prose
from orderdp_train.models import GPT, build_model, model_for
from orderdp_train.training.mixing import mix
from orderdp_train.training.text import next_token_accuracy

QUICK = Recipe(epochs=2, batch_size=20, optimizer="adamw", max_lr=3e-3, label_smoothing=0.0)


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 6, 7, generator=generator)
    labels = torch.randint(7, (4, 6), generator=generator)
    labels[1, 4:] = -100  # padded on the right
    labels[2, :3] = -100  # a prompt that is not predicted
    labels[3] = -100
    return logits, labels


def written_out(logits, labels, shift, reduction, smoothing=0.0):
    found = []
    for row, targets in zip(logits.double(), labels, strict=True):
        terms = []
        for t in range(len(targets) - shift):
            target = int(targets[t + shift])
            if target != -100:
                logp = row[t] - math.log(sum(math.exp(v) for v in row[t]))
                terms.append(-(1 - smoothing) * logp[target] - smoothing * logp.mean())
        total = float(sum(terms))
        found.append(total / max(len(terms), 1) if reduction == "mean" else total)
    return torch.tensor(found)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shift", [True, False])
def test_a_loss_a_sequence(problem, shift, reduction, smoothing):
    logits, labels = problem
    how = {"shift": shift, "reduction": reduction}
    found = sequence_losses(logits, labels, label_smoothing=smoothing, **how)
    # Sums of at most 6 terms of float32 log-softmaxes.
    torch.testing.assert_close(found, written_out(logits, labels, **how, smoothing=smoothing))
    assert found[3] == 0


def test_padding_changes_nothing(problem):
    logits, labels = problem
    longer = torch.cat([logits, torch.full((4, 3, 7), 9.0)], 1)
    padded = F.pad(labels, (0, 3), value=-100)
    assert torch.equal(sequence_losses(longer, padded), sequence_losses(logits, labels))
    other = padded.where(padded != -100, 1)
    assert not torch.equal(sequence_losses(longer, other), sequence_losses(logits, labels))
    zero = sequence_losses(longer, padded.where(padded != -100, 0), ignore_index=0)
    assert zero[3] == 0


def test_half_precision_is_summed_in_single(problem):
    logits, labels = problem
    half = logits.bfloat16()
    assert torch.equal(sequence_losses(half, labels), sequence_losses(half.float(), labels))
    with pytest.raises(ValueError, match=r"need logits \(B, T, V\)"):
        sequence_losses(logits[0], labels)


def test_prose_is_english_and_split_by_topic():
    data = load_data("prose")
    assert isinstance(data, TextDataSet)
    assert (data.num_train, data.num_test, data.length) == (4000, 400, 64)
    text = bytes(data.train_bytes.flatten().tolist()).decode(errors="replace")
    assert text.count(" the ") > 1500  # an English word in 100 bytes or so
    train, test = (
        {bytes(row.tolist()) for row in rows} for rows in (data.train_bytes, data.test_bytes)
    )
    assert not train & test
    assert len(train) > 3990
    assert "prose" in DATA_SETS


def test_text_and_images_are_not_mixed_up():
    text = load_data("prose")
    with pytest.raises(ValueError, match="no classes to mislabel"):
        load_data("prose", label_noise=0.1)
    with pytest.raises(ValueError, match="cnn does not take prose"):
        model_for("cnn", text)
    with pytest.raises(ValueError, match="gpt-tiny does not take digits"):
        model_for("gpt-tiny", load_data("digits"))
    with pytest.raises(ValueError, match="leave them off for text"):
        mix(torch.zeros(2, 3, dtype=torch.int64), Recipe(mixup=0.5), torch.Generator())
    with pytest.raises(ValueError, match="must be uint8"):
        TextDataSet("x", torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="unknown model 'gpt-tin'"):
        build_model("gpt-tin", in_channels=1, num_classes=2, image_size=8)


def test_the_transformer_looks_back_only():
    torch.manual_seed(0)
    model = GPT(11, 8, width=12, depth=2, heads=3)
    tokens = torch.randint(11, (2, 8))
    logits = model(tokens)
    assert logits.shape == (2, 8, 11)
    changed = tokens.clone()
    changed[0, 5] = (tokens[0, 5] + 1) % 11
    again = model(changed)
    # Places before the change see the same numbers, at most in another order of summation.
    torch.testing.assert_close(again[0, :5], logits[0, :5])
    torch.testing.assert_close(again[1], logits[1])
    assert not torch.isclose(again[0, 5:], logits[0, 5:]).all(1).any()
    assert next_token_accuracy(F.one_hot(tokens.roll(-1, 1), 11), tokens).tolist() == [1.0, 1.0]


def test_its_attention_is_torchs():
    torch.manual_seed(0)
    block = GPT(5, 8, width=12, depth=1, heads=3).blocks[0]
    x = torch.randn(2, 8, 12)
    y = block.norm1(x)
    heads = [part.view(2, 8, 3, 4).transpose(1, 2) for part in block.qkv(y).split(12, 2)]
    attended = F.scaled_dot_product_attention(*heads, is_causal=True)
    x1 = x + block.out(attended.transpose(1, 2).reshape(2, 8, 12))
    expected = x1 + block.down(F.gelu(block.up(block.norm2(x1))))
    torch.testing.assert_close(block(x), expected)


def small() -> TextDataSet:
    data = load_data("prose")
    assert isinstance(data, TextDataSet)
    return TextDataSet("prose", data.train_bytes[:120, :32], data.test_bytes[:30, :32])


def test_training_on_text_learns():
    torch.manual_seed(0)
    data = small()
    model = model_for("gpt-tiny", data)
    rule = OrderDP(Design(120, 100, 60))
    first, last = train(model, data, rule, QUICK)
    assert last.loss < first.loss < math.log(256) + 1
    assert last.test_accuracy > 0.05  # a space is one byte in six


def test_the_audit_of_text_is_exact():
    """Against the gradients of each sequence, one after the other."""
    torch.manual_seed(0)
    data = small()
    model = model_for("gpt-tiny", data)
    tokens = data.train_bytes[:12].long()
    population = Population(12, lambda i: (tokens[i], tokens[i]), supervised(sequence_losses))
    losses = sequence_losses(model(tokens), tokens)
    rule = OrderDP(Design(12, 8, 5), scorer=losses.detach().__getitem__)
    found = audit(model, population, {"OrderDP": rule}, draws=60).rules[0]
    rows = []
    for loss in losses:
        grads = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
        rows.append(torch.cat([g.flatten() for g in grads]).double())
    gradients = torch.stack(rows)
    followed, full = rule.expected_weights() @ gradients, gradients.mean(0)
    assert found.bias == pytest.approx(float((followed - full).norm() / full.norm()), rel=1e-4)
    cosine = torch.cosine_similarity(followed, full, dim=0)
    assert found.cosine == pytest.approx(float(cosine), abs=1e-5)


def test_a_run_on_prose_is_stored_and_continued(tmp_path):
    recipe = replace(QUICK, batch_size=40)
    rule = RuleConfig("orderdp", {"keep": 0.02, "explore": 0.05})
    config = RunConfig(data="prose", model="gpt-tiny", rule=rule, recipe=recipe)
    whole = list(run(config, tmp_path / "whole", device="cpu"))
    assert [row["kept"] for row in whole] == [80, 80]
    next(run(config, tmp_path / "parts", device="cpu"))
    (last,) = run(config, tmp_path / "parts", device="cpu", resume=True)
    assert last["loss"] == whole[-1]["loss"]
    assert last["test_accuracy"] == whole[-1]["test_accuracy"]


def test_a_run_on_prose_is_audited_by_the_command(tmp_path, monkeypatch, capsys):
    """Trained and audited as a user does, on fewer sequences."""
    monkeypatch.setattr(prose, "NUM_TRAIN", 120)
    monkeypatch.setattr(prose, "NUM_TEST", 30)

    def command(*words):
        with pytest.raises(SystemExit) as ended:
            command_line(app, [*words, "--device=cpu"])
        assert ended.value.code == 0

    trained, out = tmp_path / "run", tmp_path / "audit"
    small = ("--data=prose", "--model=gpt-tiny", "--epochs=2", "--checkpoints=2")
    command("run", f"--out={trained}", *small, "--keep=0.3", "--explore=0.5")
    command("audit", f"--run={trained}", f"--out={out}", "--draws=60", "--replays=0")
    points = json.loads((out / "audit.json").read_text(encoding="utf-8"))["points"]
    assert len(points) == 2
    shown = capsys.readouterr().out
    assert "epoch 2/2" in shown
    assert "OrderDP" in shown
    assert (out / "report.html").is_file()
