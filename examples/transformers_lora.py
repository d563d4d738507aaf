"""LoRA on a frozen transformer: trained with a rule, audited over the adapter's parameters."""

import tempfile

import torch
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, TrainingArguments

from orderdp_train import audit, build_rule, load_data
from orderdp_train.integrations.transformers import AuditCallback, SelectiveTrainer

tokens = load_data("prose").train_bytes[:400].long()
samples = [{"input_ids": row, "labels": row} for row in tokens]
torch.manual_seed(0)
config = GPT2Config(vocab_size=256, n_positions=64, n_embd=32, n_layer=2, n_head=2)
config.update({"bos_token_id": 0, "eos_token_id": 0, "attn_implementation": "eager"})
base = GPT2LMHeadModel(config)
model = get_peft_model(base, LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True))
rule = build_rule("orderdp", len(samples), keep=0.3)


def look(model: torch.nn.Module) -> None:
    """The trainer's model, collator and loss, as they are."""
    how = {"loss": trainer.losses, "collate": trainer.data_collator}
    found = audit(model, samples, {"OrderDP": rule}, draws=50, **how).rules[0]
    print(f"audit: cosine {found.cosine:.3f}, scale {found.scale:.3f}, bias {found.bias:.3f}")


with tempfile.TemporaryDirectory() as folder:
    how = {"num_train_epochs": 3, "per_device_train_batch_size": 20, "learning_rate": 1e-2}
    quiet = {"report_to": [], "disable_tqdm": True, "save_strategy": "no", "use_cpu": True}
    trainer = SelectiveTrainer(
        model=model,
        args=TrainingArguments(output_dir=folder, **how, **quiet),
        train_dataset=samples,
        rule=rule,
        callbacks=[AuditCallback(look, steps={6, 12})],
    )
    trainer.train()
