"""`orderdp-train audit`: which gradient does each method really follow?"""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orderdp_theory.common.command import said_if_stopped
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import GIB, memory
from orderdp_theory.common.output import STANDARD_OUTPUT, Json, Quiet, expect_output, progress
from orderdp_theory.common.output import console as screen

if TYPE_CHECKING:
    from orderdp_train.report.unfinished import Unfinished

Option = typer.Option
EXAMPLES = (
    "orderdp-train audit",
    "orderdp-train audit --run runs/digits --out runs/digits/audit",
    "orderdp-train audit --rules orderdp,survey --data mnist5k --label-noise 0",
)


def audit(
    out: Annotated[Path, Option(help="Folder for the report.")] = Path("audit"),
    rules: Annotated[
        str | None,
        Option(
            help="Methods, separated by commas, each trained and audited on its own run; six if "
            "not given."
        ),
    ] = None,
    grid: Annotated[
        str | None,
        Option(
            help="Designs instead of methods, along one training on full data or at --run: "
            "explore=0.3:1.0:8,keep=0.2:0.9:8 (s/n and q/n; first:last:count)."
        ),
    ] = None,
    run: Annotated[
        Path | None,
        Option(help="Audit all checkpoints in this run folder; data, model and seed are its own."),
    ] = None,
    data: Annotated[
        str | None,
        Option(
            help="digits (default), mnist5k, elpv, cifar10, cifar100, imagenet, synthetic or prose."
        ),
    ] = None,
    model: Annotated[
        str | None, Option(help="cnn (default), resnet18, resnet50, any timm model; gpt-tiny.")
    ] = None,
    label_noise: Annotated[
        float | None, Option(help="Part of the training labels to flip (0.2).")
    ] = None,
    recipe: Annotated[
        str | None, Option(help="A training recipe by name; by data and model if not given.")
    ] = None,
    epochs: Annotated[int | None, Option(help="Overrides the recipe's.")] = None,
    draws: Annotated[int, Option(help="Selections drawn to test each rule's expectation.")] = 400,
    moments: Annotated[bool, Option(help="Covariances, the costly part.")] = True,
    monte_carlo: Annotated[bool, Option(help="The gradient of what was drawn.")] = True,
    views: Annotated[
        int | None,
        Option(help="Gradients of augmented images: the mean over so many redraws; plain if none."),
    ] = None,
    replays: Annotated[
        int | None,
        Option(
            help="Replays at a frozen model that split what stored scores do: 4 with --run, else 0."
        ),
    ] = None,
    precision: Annotated[
        str | None, Option(help="fp32, bf16 or fp16 (CUDA only); the run's own with --run.")
    ] = None,
    memory_limit: Annotated[
        float, Option(help="GiB for gradients; what does not fit takes several passes.")
    ] = 4.0,
    workers: Annotated[int, Option(help="Processes that decode ImageNet.")] = 2,
    seed: Annotated[int | None, Option(help="Seed of all randomness (0).")] = None,
    root: Annotated[Path, Option(help="Where CIFAR and ImageNet lie.")] = Path("data"),
    device: Annotated[str, Option(help="auto, cpu or cuda.")] = "auto",
    recordings: Annotated[
        Path, Option(help="Folder of the proxies of static methods, which runs share.")
    ] = Path("recordings"),
    json: Json = None,
    quiet: Quiet = False,
    *,
    rule_options: dict[str, str],
) -> None:
    """Audit the gradient bias of selection rules and write table, figures and report.html.

    Without options: a small CNN on scikit-learn's digits, six methods, five points of training.
    Several processes share the work: torchrun --nproc-per-node=2 -m -- orderdp_train audit …
    """
    from contextlib import nullcontext

    from rich.progress import TextColumn

    from orderdp_theory.common.files import write_atomically
    from orderdp_train.report.folder import output_folder, write_report
    from orderdp_train.runs.driver import pick_device
    from orderdp_train.training.processes import processes, rank

    expect_output(json, '"command": "orderdp-train audit')
    with (
        processes(pick_device(device)) as place,
        output_folder(out) if rank() == 0 else nullcontext() as folder,
    ):
        from orderdp_train.auditing.point import Effort
        from orderdp_train.auditing.promises import promises_of
        from orderdp_train.auditing.stored_run import REPLAYS, audit_run
        from orderdp_train.auditing.trainings import (
            DEFAULT_RULES,
            AuditConfig,
            audit_trainings,
            steps,
        )
        from orderdp_train.cli.rule_options import configured
        from orderdp_train.data import load_data
        from orderdp_train.report import Document, promise_table, terminal_table, verdicts, versions
        from orderdp_train.report.table import legend, splits_in_words
        from orderdp_train.report.unfinished import Unfinished
        from orderdp_train.runs import RunFolder
        from orderdp_train.runs.driver import limit_threads
        from orderdp_train.training.presets import default_recipe, recipe_of
        from orderdp_train.training.processes import gather_objects
        from orderdp_train.training.recipe import precision_of

        decided = {"data": data, "model": model, "label_noise": label_noise, "seed": seed}
        decided = {name: value for name, value in decided.items() if value is not None}
        if data == "prose":  # which has no labels that could be flipped
            decided.setdefault("label_noise", 0.0)
        replays = replays if replays is not None else 0 if run is None else REPLAYS
        if not 0 < memory_limit * GIB <= memory():
            raise InputError(
                f"--memory-limit must be positive and at most {memory() / GIB:.1f} GiB, all the "
                f"memory there is here; got {memory_limit}"
            )
        limit = round(memory_limit * GIB)
        effort = Effort(draws, moments, monte_carlo, views, limit, replays)
        chosen = None if precision is None else precision_of(precision)
        named = None if recipe is None else recipe_of(recipe)
        if named is not None and run is not None:
            raise InputError("a run has its own recipe: leave --recipe out with --run")
        if rules is not None and (grid is not None or run is not None):
            raise InputError("--rules trains methods; leave it out with --grid or --run")
        if rule_options and (grid is not None or run is not None):
            raise InputError(
                "options of rules are for --rules; leave them out with --grid or --run"
            )
        begun: Unfinished | None = None
        given = {"run": run, "rules": rules, "grid": grid, "recipe": recipe}
        given |= {"epochs": epochs, **decided}
        given |= {"draws": draws, "views": views, "precision": precision}
        given |= {"replays": replays or (None if run is None else 0)} | rule_options
        words = [
            f"--{name.replace('_', '-')}={value}"
            for name, value in given.items()
            if value is not None
        ]
        words += [] if moments else ["--no-moments"]
        words += [] if monte_carlo else ["--no-monte-carlo"]
        command = shlex.join(["orderdp-train", "audit", *words])
        stored = None if run is None else RunFolder(run).config()
        if run is not None and stored is not None:
            own = {"data": stored.data, "model": stored.model, "label_noise": stored.label_noise}
            own |= {"seed": stored.seed, "epochs": stored.recipe.epochs}
            for name, value in (decided | ({} if epochs is None else {"epochs": epochs})).items():
                if own[name] != value:
                    raise InputError(
                        f"--{name.replace('_', '-')} is {own[name]} in the run {run}, not {value}: "
                        "leave it out"
                    )
            limit_threads(stored.model)
            paths = RunFolder(run).checkpoints()
            total = len(paths)
            document = Document(command, stored.as_dict(), versions(), [])
            begun = Unfinished(out, document) if folder is not None else None
            audited = partial(
                audit_run,
                run,
                grid=grid,
                effort=effort,
                root=root,
                device=place,
                precision=chosen,
                workers=workers,
                done=gather_objects(begun and begun.points)[0],
                on_point=begun.add if begun else lambda _: None,
            )
        else:
            base = named or default_recipe(data or "digits", model or "cnn", place.type)
            base = base if epochs is None else replace(base, epochs=epochs)
            base = base if chosen is None else replace(base, precision=chosen)
            names = rules.split(",") if rules else [rule.name for rule in DEFAULT_RULES]
            config = AuditConfig(
                **decided,
                rules=tuple(configured(names, rule_options)),
                effort=effort,
                recipe=base,
            )
            limit_threads(config.model)
            document = Document(command, config.as_dict(), versions(), [])
            images = load_data(
                config.data,
                label_noise=config.label_noise,
                seed=config.seed,
                device=place,
                root=root,
                num_workers=workers,
            )
            total = steps(config, grid)
            audited = partial(audit_trainings, images, config, grid=grid, recordings=recordings)
        # A pipe or a file has no width of its own; the table needs 100 columns.
        console = screen(json, quiet, None if sys.stdout.isatty() else 100)
        with progress(
            TextColumn("{task.description:24}", markup=False),
            quiet=quiet or rank() > 0,
            transient=True,
        ) as bar:
            task = bar.add_task("training", total=total)

            def on_step(description: str) -> None:
                bar.update(task, advance=1, description=description)

            with said_if_stopped(lambda: _kept(begun, out)):
                points = audited(on_step=on_step)
        if folder is None:
            return
        document = replace(document, points=points)
        write_report(folder, document)
        text = (folder / "audit.json").read_text(encoding="utf-8")
    if json == STANDARD_OUTPUT:
        typer.echo(text, nl=False)
    elif json is not None:
        write_atomically(json, text)
    console.print(terminal_table(document))
    console.print(legend(document), style="dim", markup=False, highlight=False)
    for sentence in (*verdicts(document), *splits_in_words(document)):
        console.print(sentence, markup=False, highlight=False)
    if stored is not None and (guarantees := promises_of(stored, points)):
        console.print(promise_table(guarantees))
    console.print(f"Report: {out / 'report.html'}", markup=False, highlight=False)


def _kept(begun: Unfinished | None, out: Path) -> str:
    """What a stopped audit has kept."""
    if begun is None or not begun.points:
        return "nothing was written to --out: run it again"
    return f"{len(begun.points)} points of the run are kept in {out}: run it again to go on"
