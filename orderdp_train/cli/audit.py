"""``orderdp-train audit``: which gradient does each method really follow?"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

Option = typer.Option


def audit(
    out: Annotated[Path, Option(help="Folder for the report.")] = Path("audit"),
    rules: Annotated[
        str | None,
        Option(
            help="Methods, each trained and audited on its own run: full, random, orderdp-fresh, "
            "orderdp, infobatch, orderdp-unbiased, epsilon-greedy, ucb."
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
        str, Option(help="digits, mnist5k, cifar10, cifar100, imagenet or synthetic.")
    ] = "digits",
    model: Annotated[str, Option(help="cnn, resnet18, resnet50 or any timm model.")] = "cnn",
    label_noise: Annotated[float, Option(help="Part of the training labels to flip.")] = 0.2,
    explore: Annotated[float, Option(help="s/n: part of the samples that are candidates.")] = 0.5,
    exploit: Annotated[float, Option(help="q/s: part of the candidates that are kept.")] = 0.6,
    epochs: Annotated[int | None, Option(help="Overrides the recipe's.")] = None,
    draws: Annotated[int, Option(help="Selections drawn to test each rule's expectation.")] = 400,
    seed: Annotated[int, Option(help="Seed of all randomness.")] = 0,
    root: Annotated[Path, Option(help="Where CIFAR and ImageNet lie.")] = Path("data"),
    device: Annotated[str, Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Audit the gradient bias of selection rules and write table, figures and report.html.

    Without options: a small CNN on scikit-learn's digits, six methods, five points of training.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from orderdp_train.report.folder import output_folder, write_report

    with output_folder(out) as folder:
        from dataclasses import asdict, replace

        from orderdp_train.audit.grid import audit_grid, audit_run, parse_grid
        from orderdp_train.audit.methods import (
            DEFAULT_METHODS,
            AuditConfig,
            audit_trainings,
            steps,
            versions,
        )
        from orderdp_train.checkpoint import kept_checkpoints, milestones
        from orderdp_train.data import load_data
        from orderdp_train.recipe import default_recipe
        from orderdp_train.report import Document, terminal_table, verdicts
        from orderdp_train.report.table import LEGEND
        from orderdp_train.run import limit_threads, pick_device, read_config

        recipe = default_recipe(data, model)
        recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
        config = AuditConfig(
            data=data,
            model=model,
            methods=DEFAULT_METHODS if rules is None else tuple(rules.split(",")),
            label_noise=label_noise,
            explore=explore,
            exploit=exploit,
            seed=seed,
            draws=draws,
            recipe=recipe,
        )
        if rules is not None and (grid is not None or run is not None):
            raise ValueError("--rules trains methods; leave it out with --grid or --run")
        place = pick_device(device)
        limit_threads(model)
        # A pipe or a file has no width of its own; the table needs 100 columns.
        console = Console() if sys.stdout.isatty() else Console(width=100)
        settings = asdict(config)
        with Progress(
            TextColumn("{task.description:24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),  # in a log the bar would leave empty lines
        ) as progress:
            task = progress.add_task("training", total=1)

            def on_step(description: str) -> None:
                progress.update(task, advance=1, description=description)

            if run is not None:
                settings = asdict(read_config(run))
                progress.update(task, total=len(kept_checkpoints(run)))
                checkpoints = audit_run(
                    run, grid=grid, draws=draws, root=root, device=place, on_step=on_step
                )
            else:
                images = load_data(
                    data, label_noise=label_noise, seed=seed, device=place, root=root
                )
                if grid is not None:
                    parse_grid(grid, images.num_train)
                    total = recipe.epochs + len(milestones(recipe.epochs))
                    progress.update(task, total=total)
                    checkpoints = audit_grid(images, config, grid, on_step=on_step)
                else:
                    progress.update(task, total=steps(config))
                    checkpoints = audit_trainings(images, config, on_step=on_step)
        shared = {"grid": grid, "draws": draws}
        trained = {
            "rules": rules,
            "data": data,
            "model": model,
            "label-noise": label_noise,
            "explore": explore,
            "exploit": exploit,
            "epochs": epochs,
            "seed": seed,
        }
        given = shared | ({"run": run} if run is not None else trained)
        words = [f"--{name}={value}" for name, value in given.items() if value is not None]
        document = Document(
            shlex.join(["orderdp-train", "audit", *words]), settings, versions(), checkpoints
        )
        write_report(folder, document)
    console.print(terminal_table(document))
    console.print(LEGEND, style="dim", markup=False, highlight=False)
    for sentence in verdicts(document):
        console.print(sentence, highlight=False)
    console.print(f"Report: {out / 'report.html'}", highlight=False)
