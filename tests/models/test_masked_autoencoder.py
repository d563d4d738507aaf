"""Masked autoencoders: a loss an image, masks from a generator, and an encoder handed over."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from orderdp_theory.common.command import run as command_line
from orderdp_train.cli.app import app
from orderdp_train.data import Policy, load_data
from orderdp_train.data.imagenet import _Files
from orderdp_train.models import MaskedAutoencoder, build_model, load_encoder, model_for
from orderdp_train.rules import RuleConfig
from orderdp_train.runs import RunConfig, RunFolder, run
from orderdp_train.runs.checkpoint import load_checkpoint
from orderdp_train.training.loop import losses_of, train
from orderdp_train.training.optim import build_optimizer, follow
from orderdp_train.training.presets import RECIPES, default_recipe
from orderdp_train.training.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=500, optimizer="adamw", max_lr=1e-3, weight_decay=0.05)
PRETRAINING = RunConfig(model="mae-tiny", rule=RuleConfig("orderdp"), recipe=RECIPE)
FINE_TUNING = replace(PRETRAINING, model="vit-tiny", rule=RuleConfig("full"))


def autoencoder(channels: int = 1, size: int = 8, seed: int = 0) -> MaskedAutoencoder:
    torch.manual_seed(seed)
    model = build_model("mae-tiny", in_channels=channels, num_classes=10, image_size=size)
    assert isinstance(model, MaskedAutoencoder)
    return model


def images(count: int, channels: int = 1, size: int = 8) -> torch.Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("channels", "size", "patch"), [(1, 8, 2), (3, 32, 4)])
def test_the_loss_is_that_of_the_masked_patches_of_each_image(channels, size, patch):
    """Against loops over patches, float64; both sum fewer than 64 float32 terms of order 1."""
    model, x = autoencoder(channels, size), images(5, channels, size)
    noise = model.noise(5, torch.Generator().manual_seed(2))
    with torch.no_grad():
        losses = model(x, noise)
        outputs = model.network(x, noise=noise)
    side = size // patch
    for k in range(5):
        errors = []
        hidden = np.argsort(noise[k].numpy())[(side**2) // 4 :]
        for place in hidden:
            row, column = divmod(int(place), side)
            corner = patch * row, patch * column
            pixels = x[k, :, corner[0] : corner[0] + patch, corner[1] : corner[1] + patch]
            pixels = pixels.permute(1, 2, 0).double().numpy().ravel()
            target = (pixels - pixels.mean()) / np.sqrt(pixels.var(ddof=1) + 1e-6)
            errors.append(np.mean((outputs.logits[k, place].double().numpy() - target) ** 2))
        assert float(losses[k]) == pytest.approx(np.mean(errors), rel=1e-5)
    assert not torch.allclose(losses, outputs.loss.expand(5), rtol=1e-3)


def test_transformers_agrees_once_its_targets_are_normalised():
    model, x = autoencoder(), images(6)
    model.network.config.norm_pix_loss = True
    noise = model.noise(6, torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.allclose(model(x, noise).mean(), model.network(x, noise=noise).loss, rtol=1e-5)


def test_a_loss_depends_on_its_image_and_its_mask_alone():
    model, x = autoencoder(), images(6)
    noise = model.noise(6, torch.Generator().manual_seed(4))
    with torch.no_grad():
        whole = model(x, noise)
        alone = torch.cat([model(x[k : k + 1], noise[k : k + 1]) for k in range(6)])
        turned = model(x.flip(0), noise.flip(0)).flip(0)
        other = model(x, noise.flip(1))
        assert torch.allclose(model(x), torch.cat([model(x[:2]), model(x[2:])]), rtol=1e-5)
    assert torch.allclose(whole, alone, rtol=1e-5)
    assert torch.allclose(whole, turned, rtol=1e-5)
    assert not torch.allclose(whole, other, rtol=1e-3)


@pytest.mark.parametrize("name", ["orderdp", "survey"])
def test_a_rule_is_told_the_losses_of_the_masks_that_were_drawn(name, monkeypatch):
    """At rate 0 the model is the same after the step as in it."""
    data, model = load_data("digits"), autoencoder()
    recipe = Recipe(epochs=1, batch_size=1500, max_lr=0.0, weight_decay=0.0)
    noise, draw = [], model.noise
    monkeypatch.setattr(model, "noise", lambda *given: noise.append(draw(*given)) or noise[-1])
    rule = RuleConfig(name, {"keep": 0.3}).build(data.num_train)
    seen: list[torch.Tensor] = []
    (epoch,) = train(model, data, rule, recipe, on_step=seen.append)
    [(indices, x, _)] = data.batches(seen)
    with torch.no_grad():
        assert torch.allclose(rule.state_dict()["scores"][indices], model(x, *noise), rtol=1e-4)
        assert torch.equal(losses_of(model, data, indices, recipe), model(x))
    assert epoch.test_accuracy == pytest.approx(1 - loss_on_test(model), rel=1e-5)


def loss_on_test(model: torch.nn.Module) -> float:
    data = load_data("digits")
    with torch.no_grad():
        _, x, _ = next(data.batches([torch.arange(data.num_test)], "test"))
        return float(model(x).mean())


def test_positions_are_waves_of_column_and_row():
    """As published, and as no fresh model of transformers 5.24 has them, which leaves zeros."""
    model = autoencoder(3, 32)
    parts = {"vit.embeddings.position_embeddings": 48, "decoder.decoder_pos_embed": 32}
    for name, width in parts.items():
        found = dict(model.network.named_parameters())[name][0]
        assert not found[0].any()
        quarter = width // 4
        for place in range(64):
            row, column = divmod(place, 8)
            angles = [
                (x, x / 10_000 ** (k / quarter)) for x in (column, row) for k in range(quarter)
            ]
            waves = [np.sin(a) for _, a in angles], [np.cos(a) for _, a in angles]
            q = quarter
            expected = [*waves[0][:q], *waves[1][:q], *waves[0][q:], *waves[1][q:]]
            assert np.allclose(found[1 + place].detach().numpy(), expected, atol=1e-5)
    assert model.network.decoder.mask_token.std() > 0.01


@pytest.mark.parametrize("placed", [True, False])
def test_reconstruction_is_learnt_where_patches_have_a_place(placed):
    """Two epochs on digits; what predicts the mean of every patch has a loss of 0.565."""
    data, model = load_data("digits"), autoencoder()
    if not placed:
        for name, parameter in model.named_parameters():
            if "position_embeddings" in name or "pos_embed" in name:
                parameter.data.zero_()
    recipe = replace(RECIPES["smoke-mae"], epochs=2)
    *_, last = train(model, data, RuleConfig("full").build(1500), recipe)
    assert (1 - last.test_accuracy < 0.54) == placed


def test_a_pretraining_goes_on_bit_for_bit(tmp_path):
    whole = list(run(PRETRAINING, tmp_path / "whole", device="cpu"))
    half = run(PRETRAINING, tmp_path / "half", device="cpu")
    next(half)
    half.close()
    rest = list(run(PRETRAINING, tmp_path / "half", device="cpu", resume=True))
    assert [row["loss"] for row in rest] == [whole[-1]["loss"]]
    one, other = (load_checkpoint(tmp_path / f / "checkpoint.pt") for f in ("whole", "half"))
    for name, tensor in one["state"]["model"].items():
        assert torch.equal(tensor, other["state"]["model"][name])


def test_the_classifier_gets_the_encoder_and_computes_the_same():
    """timm's network without its head, against transformers' with all patches visible in order."""
    model = autoencoder(3, 32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.network.vit.embeddings.config.mask_ratio = 0.0
    classifier = build_model("vit-tiny", in_channels=3, num_classes=7, image_size=32)
    load_encoder(classifier, model.state_dict())
    x = images(4, 3, 32)
    norm = model.network.vit.layernorm
    with torch.no_grad():
        theirs = model.network.vit(x, noise=torch.arange(64.0).expand(4, -1)).last_hidden_state
        own = norm(classifier.eval().forward_features(x))  # pyright: ignore[reportCallIssue]
        assert classifier(x).shape == (4, 7)
    assert torch.allclose(own, theirs, atol=1e-4)


def test_sizes_are_the_published_ones():
    """ViT-B has 85.8 million parameters without its head (Dosovitskiy et al. 2021)."""
    with torch.device("meta"):
        data = {"in_channels": 3, "num_classes": 1000, "image_size": 224}
        classifier, pretrained = (build_model(f"{k}-base", **data) for k in ("vit", "mae"))
    body = sum(p.numel() for n, p in classifier.named_parameters() if not n.startswith("head"))
    assert body == pytest.approx(85.8e6, rel=1e-3)
    encoder = sum(p.numel() for n, p in pretrained.named_parameters() if "decoder" not in n)
    assert encoder == body


def test_fine_tuning_by_command(tmp_path, capsys):
    def command(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            command_line(app, ["run", "--device=cpu", *words])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    before, after = tmp_path / "before", tmp_path / "after"
    short = ["--epochs=1", "--batch-size=500", "--optimizer=adamw", "--max-lr=0.001"]
    status, out, _ = command(f"--out={before}", "--model=mae-tiny", *short)
    assert status == 0
    assert "test loss" in out
    words = [f"--out={after}", "--model=vit-tiny", "--rule=full", *short]
    status, out, _ = command(*words, f"--pretrained={before}")
    assert status == 0
    assert "test accuracy" in out
    assert len(RunFolder(after).config().pretrained) == 64
    for model, message in (("cnn", "not of a masked autoencoder that fits"), ("mae-tiny", "fits")):
        other = [f"--out={tmp_path / model}", f"--model={model}", *short]
        status, _, error = command(*other, f"--pretrained={before}")
        assert status == 2
        assert message in error
        assert error.count("\n") == 1
    mixed = [f"--out={tmp_path / 'mixed'}", "--model=mae-tiny", "--mixup=1", *short]
    assert "which a masked autoencoder has not" in command(*mixed)[2]


def test_a_fine_tuning_begins_with_the_encoder_and_remembers_it(tmp_path):
    list(run(PRETRAINING, tmp_path / "before", device="cpu"))
    taught = tmp_path / "before" / "checkpoint.pt"
    still = replace(FINE_TUNING, recipe=replace(RECIPE, max_lr=0.0, epochs=1))
    list(run(still, tmp_path / "after", device="cpu", pretrained=taught))
    place = RunFolder(tmp_path / "after")
    classifier = model_for("vit-tiny", load_data("digits"))
    load_encoder(classifier, load_checkpoint(taught)["state"]["model"])
    stored = load_checkpoint(tmp_path / "after" / "checkpoint.pt")["state"]["model"]
    for name, value in classifier.state_dict().items():
        if not name.startswith("head."):
            assert torch.equal(stored[name], value), name
    assert RunConfig.from_json(place.config().to_json(), taught) == place.config()
    with pytest.raises(ValueError, match="its pretrained is"):
        next(run(still, tmp_path / "after", device="cpu", resume=True))
    (tmp_path / "after" / "checkpoint.pt").unlink()
    with pytest.raises(ValueError, match="give --pretrained again"):
        next(run(place.config(), tmp_path / "after", device="cpu", resume=True))
    assert list(run(still, tmp_path / "after", device="cpu", resume=True, pretrained=taught))


def test_sizes_that_do_not_fit_are_one_line():
    with pytest.raises(ValueError, match="9×9 do not divide into patches of 2×2"):
        build_model("mae-tiny", in_channels=1, num_classes=2, image_size=9)


def test_layers_have_the_rates_of_the_published_fine_tuning():
    """The head's rate times 0.65 once a block downwards, and once more for the embedding."""
    recipe = replace(RECIPES["smoke-vit"], schedule="onecycle")
    classifier = build_model("vit-tiny", in_channels=1, num_classes=10, image_size=8)
    optimizer = build_optimizer(classifier, recipe)
    follow(optimizer, recipe, 0.5)
    groups = [(group, p) for group in optimizer.param_groups for p in group["params"]]
    found = {name: g for g, q in groups for name, p in classifier.named_parameters() if p is q}
    assert found.keys() == dict(classifier.named_parameters()).keys()
    assert len(groups) == len(found)
    exponents = {"head": 0, "fc_norm": 0, "blocks.2": 1, "blocks.1": 2, "blocks.0": 3}
    for name, group in found.items():
        exponent = next((e for start, e in exponents.items() if name.startswith(start)), 4)
        assert group["lr"] == pytest.approx(recipe.learning_rate(0.5) * 0.65**exponent), name
        decayed = name.endswith("weight") and "norm" not in name
        assert group["weight_decay"] == (0.05 if decayed else 0), name


def test_published_crops_and_paths_are_in_the_recipes():
    """He et al. (2022): crops of at least 20 % in pre-training, dropped paths in fine-tuning."""
    assert (RECIPES["imagenet-mae"].crop, RECIPES["imagenet-vit"].crop) == (0.2, 0.08)
    for crop, policy in ((0.2, Policy(crop=0.2)), (0.08, Policy())):
        first, _ = _Files((), 224, policy=policy).augmented.transforms
        assert first.scale == (crop, 1.0)
        assert not policy
    assert RECIPES["imagenet-vit"].drop_path == 0.1
    model = model_for("vit-tiny", load_data("digits"), 0.1)
    paths = [m.drop_prob for m in model.modules() if type(m).__name__ == "DropPath"]
    assert max(paths) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="mae-tiny takes no drop_path"):
        model_for("mae-tiny", load_data("digits"), 0.1)


@pytest.mark.parametrize(("model", "beta"), [("mae-base", 0.95), ("vit-base", 0.999)])
def test_the_recipes_are_the_published_ones(model, beta):
    """He et al. (2022), Tables 8 and 9: base rates 1.5e-4 and 5e-4 for 256 samples a batch."""
    recipe = default_recipe("imagenet", model)
    batch, base, epochs = {"mae-base": (4096, 1.5e-4, 300), "vit-base": (1024, 5e-4, 100)}[model]
    assert (recipe.batch_size, recipe.epochs) == (batch, epochs)
    assert recipe.max_lr == pytest.approx(base * batch / 256)
    assert (recipe.momentum, recipe.second_beta, recipe.weight_decay) == (0.9, beta, 0.05)
    network = torch.nn.Linear(2, 2)
    plain = replace(recipe, layer_decay=1.0, decay_all=True)
    [group] = build_optimizer(network, plain).param_groups
    assert group["betas"] == (0.9, beta)
