"""`orderdp-train run`: one training, in a folder from which it can be continued."""

from pathlib import Path
from typing import Annotated, Any

import typer

from orderdp_theory.common.command import said_if_stopped
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.output import Quiet

Option = typer.Option
EXAMPLES = (
    "orderdp-train run --out runs/digits --rule orderdp --keep 0.3",
    "orderdp-train run --out runs/digits --resume",
)


def run(
    out: Annotated[Path, Option(help="Folder of the run: new, unless --resume.")],
    resume: Annotated[bool, Option("--resume", help="Continue the run in --out.")] = False,
    data: Annotated[
        str | None,
        Option(
            help="digits (default), mnist5k, elpv, cifar10, cifar100, imagenet, synthetic, prose."
        ),
    ] = None,
    model: Annotated[
        str | None,
        Option(
            help="cnn (default), resnet18, resnet50, any timm model; gpt-tiny; mae-tiny, mae-base "
            "(masked autoencoders), vit-tiny, vit-base."
        ),
    ] = None,
    rule: Annotated[
        str | None, Option(help="orderdp (default) or another one of the options below.")
    ] = None,
    selection: Annotated[
        str | None, Option(help="Select once an 'epoch' (default) or every 'iteration'.")
    ] = None,
    label_noise: Annotated[float | None, Option(help="Part of the labels to flip.")] = None,
    seed: Annotated[int | None, Option(help="Seed of all randomness.")] = None,
    recipe: Annotated[
        str | None,
        Option(
            help="By data and model if not given; smoke, elpv-resnet18, prose, and for "
            "{cifar,imagenet}-resnet{18,50} -paper or -release; others in docs/recipes."
        ),
    ] = None,
    epochs: Annotated[int | None, Option(help="Overrides the recipe's.")] = None,
    batch_size: Annotated[int | None, Option(help="Over all processes.")] = None,
    optimizer: Annotated[str | None, Option(help="sgd, adamw, lars or lamb.")] = None,
    max_lr: Annotated[float | None, Option(help="Peak of the schedule.")] = None,
    momentum: Annotated[float | None, Option(help="Momentum, or the first beta.")] = None,
    weight_decay: Annotated[float | None, Option()] = None,
    label_smoothing: Annotated[float | None, Option()] = None,
    mixup: Annotated[float | None, Option(help="Alpha of MixUp, 0 for none.")] = None,
    cutmix: Annotated[float | None, Option(help="Alpha of CutMix, 0 for none.")] = None,
    precision: Annotated[str | None, Option(help="fp32, bf16 or fp16 (CUDA only).")] = None,
    compile: Annotated[bool | None, Option(help="Use torch.compile.")] = None,
    channels_last: Annotated[bool | None, Option(help="Use the channels-last layout.")] = None,
    start: Annotated[
        Path | None,
        Option(help="Checkpoint of another run to begin from, with another --max-lr or --epochs."),
    ] = None,
    pretrained: Annotated[
        Path | None,
        Option(help="Run of a masked autoencoder, or its checkpoint: fine-tune its encoder."),
    ] = None,
    checkpoints: Annotated[
        int, Option(help="Checkpoints to keep for audits, evenly spaced, the last among them.")
    ] = 5,
    device: Annotated[str, Option(help="auto, cpu or cuda.")] = "auto",
    root: Annotated[Path, Option(help="Where CIFAR and ImageNet lie.")] = Path("data"),
    download: Annotated[bool, Option("--download", help="Fetch CIFAR first.")] = False,
    workers: Annotated[int, Option(help="Processes that decode ImageNet.")] = 2,
    recordings: Annotated[
        Path, Option(help="Folder of the proxies of static methods, which runs share.")
    ] = Path("recordings"),
    unreadable: Annotated[
        str,
        Option(
            help="Images that cannot be decoded: all are tried first, and 'stop' the run or have a "
            "'stand-in'; 'unchecked' tries none."
        ),
    ] = "stop",
    json: Annotated[
        bool, Option("--json", help="Print one JSON object an epoch, as in metrics.jsonl.")
    ] = False,
    quiet: Quiet = False,
    *,
    rule_options: dict[str, str],
) -> None:
    """Train with a selection rule; works under torchrun with several processes too.

    With --resume the run's own configuration counts; an option that contradicts it is an error.
    """
    from dataclasses import replace
    from json import dumps

    from orderdp_theory.arguments import integer, number
    from orderdp_train.cli.rule_options import configured
    from orderdp_train.runs import RunConfig, RunFolder
    from orderdp_train.runs import run as train_run
    from orderdp_train.runs.driver import limit_threads, pick_device
    from orderdp_train.runs.folder import load_run
    from orderdp_train.training.presets import default_recipe, recipe_of
    from orderdp_train.training.processes import rank

    of_run = _given(data=data, model=model, selection=selection, label_noise=label_noise, seed=seed)
    of_recipe = _given(
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        max_lr=max_lr,
        momentum=momentum,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        mixup=mixup,
        cutmix=cutmix,
        precision=precision,
        compile=compile,
        channels_last=channels_last,
    )

    named = None if recipe is None else recipe_of(recipe)
    if pretrained is not None and pretrained.is_dir():
        pretrained = RunFolder(pretrained).checkpoints()[-1]
    if resume and start is not None:
        raise InputError("--start begins a new run and --resume continues one: give one of them")
    for name, value in (of_run | of_recipe).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            check = integer if isinstance(value, int) else number
            check(f"--{name.replace('_', '-')}", value)
    config = RunFolder(out).config() if resume else RunConfig()
    if start is not None:
        config = RunConfig.from_dict(load_run(start)["config"], start)
    [selected] = configured([rule or config.rule.name], rule_options, config.rule)
    config = replace(config, **of_run, rule=selected)
    if named is None and (resume or start is not None):
        named = config.recipe
    base = named or default_recipe(config.data, config.model, pick_device(device).type)
    config = replace(config, recipe=replace(base, **of_recipe))
    limit_threads(config.model)
    rows = train_run(
        config,
        out,
        resume=resume,
        device=device,
        root=root,
        download=download,
        num_workers=workers,
        unreadable=unreadable,
        checkpoints=checkpoints,
        start=start,
        pretrained=pretrained,
        recordings=recordings,
        show_progress=not quiet,
    )
    with said_if_stopped(RunFolder(out).in_words):
        for row in rows:
            if rank() > 0:
                continue
            if json:
                typer.echo(dumps(row))
            elif not quiet:
                typer.echo(
                    f"epoch {row['epoch']}/{config.recipe.epochs}  loss {row['loss']:.4f}  "
                    f"{_tested(config.model, row)}  kept {row['kept']}  "
                    f"{row['seconds_selection'] + row['seconds_training']:.2f} s"
                )


def _tested(model: str, row: dict[str, Any]) -> str:
    """The test's outcome in words; of a masked autoencoder it is stored as 1 − loss."""
    if model.startswith("mae-"):
        return f"test loss {1 - row['test_accuracy']:.4f}"
    return f"test accuracy {row['test_accuracy']:.2%}"


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
