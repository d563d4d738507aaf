"""Hugging Face's Trainer: what it trains, written out; checkpoints; refusals."""

import pytest
import torch
import torch.nn.functional as F

from orderdp_train import audit, build_rule, sequence_losses
from tests.integrations.processes import results
from tests.training.sampler_cases import DIM, X, close, plainly, rule_named

transformers = pytest.importorskip("transformers", reason="needs orderdp[transformers]")
pytest.importorskip("accelerate", reason="needs orderdp[transformers]")

from orderdp_train.integrations.transformers import (  # noqa: E402
    AuditCallback,
    SelectiveTrainer,
    check_supported,
)
from tests.integrations.framework_cases import (  # noqa: E402
    LABELS,
    SAMPLES,
    AcceptsLossArguments,
    Scorer,
    transformers_result,
    transformers_trainer,
)


def expected(name, batch, smoothing=0.0):
    def losses_at(theta, part):
        how = {"reduction": "none", "label_smoothing": smoothing}
        return F.cross_entropy((X[part] @ theta.T).float(), LABELS[part], **how).double()

    return plainly(name, batch, losses_at=losses_at, shape=(2, DIM))


def near(found, wanted):
    """The Trainer's losses are float32, so gradients are good to some 1e-7 of their terms."""
    torch.testing.assert_close(found["theta"], wanted["theta"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["scores"], wanted["scores"], rtol=1e-5, atol=1e-6)
    assert found["steps"] == wanted["steps"]


def trained(*arguments, **options):
    trainer = transformers_trainer(*arguments, **options)
    trainer.train()
    return transformers_result(trainer)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return results("transformers", tmp_path_factory.mktemp("transformers"))


@pytest.mark.parametrize("model", [Scorer, AcceptsLossArguments])
@pytest.mark.parametrize("name", ["orderdp", "infobatch"])
def test_the_trainer_trains_what_is_written_out(tmp_path, name, model):
    near(trained(name, 10, tmp_path, model=model()), expected(name, 10))


@pytest.mark.parametrize("name", ["orderdp", "infobatch"])
def test_two_processes_train_what_one_does_with_twice_the_batch(two, name):
    for mine in two:
        near(mine[name], expected(name, 10))


@pytest.mark.parametrize("model", [Scorer, AcceptsLossArguments])
def test_accumulated_batches_are_one_batch(two, tmp_path, model):
    for accumulate in (2, 3):
        found = trained("infobatch", 4, tmp_path, accumulate=accumulate, model=model())
        near(found, expected("infobatch", 4 * accumulate))
    for mine in two:
        near(mine["accumulate"], expected("infobatch", 20))


def test_label_smoothing_is_the_trainers(tmp_path):
    model = Scorer()
    model.config = transformers.PretrainedConfig()
    found = trained("orderdp", 10, tmp_path, model=model, label_smoothing_factor=0.2)
    near(found, expected("orderdp", 10, 0.2))


def test_own_losses_combine_with_the_rules_weights(tmp_path):
    """Class weights in the loss: the rule is then unbiased for the class-weighted mean."""
    per_class = torch.tensor([1.0, 3.0])

    def losses(outputs, labels):
        losses = F.cross_entropy(outputs["logits"].float(), labels, reduction="none")
        return per_class[labels] * losses

    def losses_at(theta, part):
        plain = F.cross_entropy((X[part] @ theta.T).float(), LABELS[part], reduction="none")
        return (per_class[LABELS[part]] * plain).double()

    wanted = plainly("orderdp-unbiased", 10, losses_at=losses_at, shape=(2, DIM))
    near(trained("orderdp-unbiased", 10, tmp_path, sample_losses=losses), wanted)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("stop", [2, 4, 6])
@pytest.mark.parametrize("name", ["orderdp", "infobatch"])
def test_a_checkpoint_continues_bit_for_bit(tmp_path, name, stop, accumulate):
    how = {"accumulate": accumulate, "save_strategy": "steps", "save_steps": 2}
    whole = trained(name, 5, tmp_path, accumulate=accumulate)
    transformers_trainer(name, 5, tmp_path, **how).train()
    again = transformers_trainer(name, 5, tmp_path, data_seed=99, ignore_data_skip=True, **how)
    again.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{stop}"))
    found = transformers_result(again)
    assert torch.equal(found["theta"], whole["theta"])
    assert torch.equal(found["scores"], whole["scores"])
    assert found["steps"] == whole["steps"]
    (tmp_path / f"checkpoint-{stop}" / "selection_0.pt").unlink()
    with pytest.raises(ValueError, match="holds no state of the rule"):
        again.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{stop}"))


def test_evaluation_is_the_trainers_own(tmp_path):
    trainer = transformers_trainer("orderdp", 10, tmp_path, eval_strategy="epoch")
    trainer.train()
    model = trainer.model
    samples = torch.stack([sample["x"] for sample in SAMPLES[:7]])
    loss = F.cross_entropy(model(samples)["logits"], LABELS[:7])
    assert trainer.evaluate()["eval_loss"] == pytest.approx(loss.item(), rel=1e-6)


def test_the_schedule_follows_the_fraction_of_passes(tmp_path):
    """InfoBatch makes fewer steps than its upper bound, and the rate still ends at zero."""
    rates = []

    class Note(transformers.TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, **kwargs):
            rates.append(kwargs["optimizer"].param_groups[0]["lr"])

    trainer = transformers_trainer(
        "infobatch", 5, tmp_path, lr_scheduler_type="linear", callbacks=[Note()]
    )
    trainer.train()
    assert len(rates) < trainer.state.max_steps
    assert rates[0] == pytest.approx(0.05)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


def test_an_audit_during_training_changes_nothing(tmp_path):
    found = []
    rule = rule_named("orderdp")

    def look(model):
        how = {"loss": trainer.losses, "collate": trainer.data_collator}
        found.append(audit(model, plain, {"OrderDP": rule}, draws=50, **how))

    plain = [{"x": sample["x"], "labels": sample["labels"]} for sample in SAMPLES]
    whole = trained("orderdp", 5, tmp_path)
    callbacks = [AuditCallback(look, {1, 4})]
    trainer = transformers_trainer("orderdp", 5, tmp_path, rule=rule, callbacks=callbacks)
    trainer.train()
    watched = transformers_result(trainer)
    assert torch.equal(watched["theta"], whole["theta"])
    assert torch.equal(watched["scores"], whole["scores"])
    assert len(found) == 2


def language_model():
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=11, n_positions=8, n_embd=8, n_layer=1, n_head=2, resid_pdrop=0, embd_pdrop=0
    )
    config.update({"bos_token_id": 0, "eos_token_id": 0, "attn_pdrop": 0})
    return transformers.GPT2LMHeadModel(config)


def sentences():
    generator = torch.Generator().manual_seed(0)
    samples = []
    for k in range(20):
        tokens = torch.randint(11, (8,), generator=generator)
        labels = tokens.clone()
        labels[3 + k % 5 :] = -100
        samples.append({"input_ids": tokens, "labels": labels})
    return samples


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_sequences_are_weighted_as_they_say(tmp_path, reduction):
    """One step on all sequences: the mean over sequences, or over tokens by a fixed divisor."""
    samples, model = sentences(), language_model()
    before = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    tokens, labels = (torch.stack([s[k] for s in samples]) for k in ("input_ids", "labels"))
    losses = sequence_losses(model(tokens).logits, labels, reduction=reduction)
    # All sequences are in the batch, so "sum" is the mean over all tokens, as a model computes it.
    loss = losses.mean() if reduction == "mean" else model(input_ids=tokens, labels=labels).loss
    gradient = torch.autograd.grad(loss, list(model.parameters()))
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=1,
        per_device_train_batch_size=5,
        gradient_accumulation_steps=4,
        optim="sgd",
        learning_rate=0.5,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        use_cpu=True,
    )
    SelectiveTrainer(
        model=model,
        args=arguments,
        train_dataset=samples,
        rule=build_rule("full", 20),
        reduction=reduction,
    ).train()
    after = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    step = torch.cat([g.flatten() for g in gradient])
    # Float32 sums of 20 sequences in another order.
    torch.testing.assert_close((before - after) / 0.5, step, rtol=1e-3, atol=2e-6)


def test_an_adapter_is_audited_over_its_own_parameters(tmp_path):
    peft = pytest.importorskip("peft", reason="needs orderdp[lora]")
    samples = sentences()
    config = peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    model = peft.get_peft_model(language_model(), config).eval()
    adapter = [p for p in model.parameters() if p.requires_grad]
    for parameter in adapter:  # LoRA starts at the product zero, where half the gradients vanish
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(1))
    tokens, labels = (torch.stack([s[k] for s in samples]) for k in ("input_ids", "labels"))

    losses = sequence_losses(model(input_ids=tokens).logits, labels)
    rows = [torch.autograd.grad(loss, adapter, retain_graph=True) for loss in losses]
    gradients = torch.stack([torch.cat([g.flatten() for g in row]).double() for row in rows])
    rule = build_rule("orderdp", 20, keep=0.3)
    rule.update(torch.arange(20), losses.detach())
    trainer = SelectiveTrainer(
        model=model,
        args=transformers.TrainingArguments(output_dir=str(tmp_path), report_to=[], use_cpu=True),
        train_dataset=samples,
        rule=rule,
    )
    how = {"loss": trainer.losses, "collate": trainer.data_collator}
    found = audit(model, samples, {"OrderDP": rule}, draws=50, **how).rules[0]
    followed, full = rule.expected_weights() @ gradients, gradients.mean(0)
    assert found.bias == pytest.approx(float((followed - full).norm() / full.norm()), rel=1e-4)


@pytest.mark.slow
def test_a_model_in_shards_is_refused(tmp_path):
    """Two gloo processes, a model that transformers really split, and Lightning's strategy."""
    pytest.importorskip("lightning", reason="needs orderdp[lightning]")
    for said in results("sharded", tmp_path):
        assert said["local part"] == 16 * 16 // 2
        assert said["tensor parallelism"].endswith("with tensor or sequence parallelism")
        assert said["FSDP"] == "a selection rule does not work with FSDP"
        assert said["Lightning"].startswith("ModelParallelStrategy shards the model")


def test_selections_are_drawn_from_a_generator_of_their_own_at_the_trainers_seed(tmp_path):
    def selected(**arguments):
        torch.manual_seed(5)
        trainer = transformers_trainer("random", 5, tmp_path, **arguments)
        before = torch.get_rng_state()
        drawn = trainer.rule_sampler.draw().mine
        assert torch.equal(torch.get_rng_state(), before)
        return drawn

    assert torch.equal(selected(seed=3), selected(seed=4, data_seed=3))
    assert not torch.equal(selected(seed=3), selected(seed=4))
    rule, generator = rule_named("random"), torch.Generator().manual_seed(3)
    indices, _ = rule.select(generator)
    wanted = indices[torch.randperm(len(indices), generator=generator)]
    assert torch.equal(selected(seed=3), wanted)
    with pytest.raises(ValueError, match="a seed must lie in"):
        selected(data_seed=2**32)


def test_what_is_not_supported_is_refused_in_one_line(tmp_path, monkeypatch):
    def start(**arguments):
        return transformers_trainer("orderdp", 5, tmp_path, **arguments)

    with pytest.raises(ValueError, match="does not work with dataloader_drop_last"):
        start(dataloader_drop_last=True)
    with pytest.raises(ValueError, match="does not work with train_sampling_strategy"):
        start(train_sampling_strategy="group_by_length")
    with pytest.raises(ValueError, match="does not work with FSDP"):
        start(fsdp=True)
    # What needs a GPU, or DeepSpeed, to be there: asked for by a launcher's environment.
    for name, words in (("is_fsdp_enabled", "FSDP"), ("is_deepspeed_enabled", "DeepSpeed")):
        trainer = start()
        monkeypatch.setattr(trainer, name, True)
        with pytest.raises(ValueError, match=f"does not work with {words}"):
            check_supported(trainer)
    arguments = transformers.TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    arguments.deepspeed = {"zero_optimization": {"stage": 2}}
    with pytest.raises(ValueError, match="does not work with DeepSpeed"):
        SelectiveTrainer(Scorer(), arguments, train_dataset=SAMPLES, rule=rule_named("random"))
    with pytest.raises(ValueError, match="from 7 samples and the data set has 41"):
        start(rule=build_rule("random", 7)).train()
    trainer = start()
    with pytest.raises(ValueError, match="has lost its index"):
        trainer.compute_loss(trainer.model.train(), {"x": X[:2], "labels": LABELS[:2]})


def test_close_is_strict():
    with pytest.raises(AssertionError):
        close(expected("orderdp", 10), expected("orderdp", 11))
