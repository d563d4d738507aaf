"""A small language model from a configuration, trained by Hugging Face's Trainer with a rule."""

import tempfile

import torch
from transformers import GPT2Config, GPT2LMHeadModel, TrainingArguments

from orderdp_train import build_rule, load_data
from orderdp_train.integrations.transformers import SelectiveTrainer

prose = load_data("prose")


def samples(tokens: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    return [{"input_ids": row, "labels": row} for row in tokens.long()]


torch.manual_seed(0)
config = GPT2Config(vocab_size=256, n_positions=64, n_embd=32, n_layer=2, n_head=2)
config.update({"bos_token_id": 0, "eos_token_id": 0})
model = GPT2LMHeadModel(config)
train = samples(prose.train_bytes[:1000])
with tempfile.TemporaryDirectory() as folder:
    trainer = SelectiveTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=folder,
            num_train_epochs=3,
            per_device_train_batch_size=16,
            gradient_accumulation_steps=2,
            learning_rate=3e-3,
            eval_strategy="epoch",
            save_strategy="epoch",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=train,
        eval_dataset=samples(prose.test_bytes[:100]),
        rule=build_rule("orderdp-unbiased", len(train), keep=0.4),  # the one new argument
    )
    trainer.train()
    print(f"steps: {trainer.state.global_step}")
    print(f"loss on other topics: {trainer.evaluate()['eval_loss']:.3f}")
