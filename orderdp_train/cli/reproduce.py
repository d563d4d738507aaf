"""`orderdp-train reproduce`: the paper's dynamic-pruning tables and figures by name."""

import os
from csv import DictReader
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orderdp_theory.common.command import said_if_stopped
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import PROCESS, require_room
from orderdp_theory.common.output import Json, Quiet, console, expect_output, progress, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from orderdp_train.reproduce import Cost, Measured, Result, Scale

Option = typer.Option
EXAMPLES = (
    "orderdp-train reproduce --list",
    "orderdp-train reproduce table2 --seeds 5 --jobs 2",
)


def reproduce(
    name: Annotated[
        str | None, typer.Argument(help="table2, table3, … as --list shows them.")
    ] = None,
    scale: Annotated[
        str,
        Option(help="smoke: the same on digits and mnist5k with the small CNN; paper: as printed."),
    ] = "smoke",
    seeds: Annotated[
        int | None, Option(help="Repetitions; as many as the paper's if not given.")
    ] = None,
    list_results: Annotated[bool, Option("--list", help="Show all results and costs.")] = False,
    out: Annotated[
        Path, Option(help="Folder of the results; finished trainings in it are kept and reused.")
    ] = Path("reproduce"),
    jobs: Annotated[
        int | None, Option(help="Trainings at a time; one a core, or one on a GPU, if not given.")
    ] = None,
    device: Annotated[str, Option(help="auto, cpu or cuda.")] = "auto",
    root: Annotated[Path, Option(help="Where CIFAR and ImageNet lie.")] = Path("data"),
    download: Annotated[bool, Option("--download", help="Fetch CIFAR first.")] = False,
    workers: Annotated[int, Option(help="Processes that decode ImageNet.")] = 2,
    engine: Annotated[
        str, Option(help="local: on this machine; ray: on a Ray cluster, see --address.")
    ] = "local",
    address: Annotated[
        str, Option(help="Of the Ray cluster; the one this machine belongs to if not given.")
    ] = "auto",
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Train what a table or figure of the paper needs, and set the outcome beside the paper's.

    Interrupt it whenever you like: the same command continues where it stopped. Several processes
    share each training: torchrun --nproc-per-node=2 -m -- orderdp_train reproduce …
    """
    import torch
    from rich.progress import TextColumn

    from orderdp_theory.common.files import expect_ours, write_atomically
    from orderdp_theory.common.style import WRITER, render
    from orderdp_train.data import load_data
    from orderdp_train.reproduce import (
        RESULTS,
        SCALES,
        AtWork,
        Cell,
        Environment,
        draw,
        infobatch_savings,
        measure,
        sweep,
        to_csv,
        with_seeds,
    )
    from orderdp_train.runs.driver import pick_device
    from orderdp_train.training.processes import processes, rank

    screen = console(json, quiet)
    if list_results:
        expect_output(json, '"smoke": {\n      "trainings"')
        write_json(json, _costs())
        screen.print(_overview())
        return
    if name is None or name not in RESULTS:
        asked = "no result was named" if name is None else f"unknown result {name!r}"
        raise InputError(f"{asked}: choose one of {', '.join(RESULTS)}; --list says what they are")
    if scale not in SCALES:
        raise InputError(f"unknown scale {scale!r}: choose smoke or paper")
    if engine not in ("local", "ray"):
        raise InputError(f"unknown engine {engine!r}: choose local or ray")
    for option, value in (("--seeds", seeds), ("--jobs", jobs)):
        if value is not None and value < 1:
            raise InputError(f"{option} must be at least 1, got {value}")
    require_room("--jobs", jobs or 1, PROCESS)
    result, size = RESULTS[name], SCALES[scale]
    repetitions = seeds or result.seeds
    at_a_time = jobs or (1 if pick_device(device).type == "cuda" else os.cpu_count() or 1)
    environment = Environment(device, root, workers)
    cells = with_seeds(result.cells(size), repetitions)
    if download:  # once, before several trainings want to
        for data in {cell.config.data for cell in cells}:
            load_data(data, root=root, download=True)
    folder, stem = out / "cells", f"{name}-{scale}"
    marks = {"csv": to_csv([]).strip(), "md": f"reproduce {name}", "png": WRITER}
    for suffix, mark in marks.items():
        expect_ours(out / f"{stem}.{suffix}", mark)
    folder.mkdir(parents=True, exist_ok=True)
    expect_output(json, '"paper_std"')
    failed = TextColumn("{task.fields[failed]} failed", style="red")
    left = TextColumn("{task.remaining:.0f} left")
    cluster = address if engine == "ray" else None
    at_work = AtWork(cells, folder)
    with (
        said_if_stopped(lambda: f"finished epochs are kept in {folder}, run it again to go on"),
        processes(pick_device(device) if cluster is None else torch.device("cpu")),
        progress(name, left, failed, quiet=quiet or rank() > 0, below=at_work.lines) as bar,
    ):
        task = bar.add_task(name, total=len(cells), failed=0)

        def on_failure(cell: Cell, reason: str) -> None:
            at_work.over(cell)
            bar.console.print(f"{cell.folder(folder).path.name}: {reason}", markup=False)
            bar.update(task, advance=1, failed=bar.tasks[0].fields["failed"] + 1)

        trained = sweep(
            cells, folder, environment, at_a_time, cluster=cluster, on_failure=on_failure
        )
        for cell in trained:
            at_work.over(cell)
            bar.advance(task)
        if rank() > 0:
            return

    measured = measure(result, size, repetitions, folder)
    table = to_csv(measured)
    write_atomically(out / f"{stem}.csv", table)
    savings = infobatch_savings(result, size, repetitions, folder)
    write_atomically(out / f"{stem}.md", _page(result, size, repetitions, measured, savings))
    write_atomically(out / f"{stem}.png", render(draw(result, measured), "png"))
    write_json(json, list(DictReader(table.splitlines())))
    if (shown := _terminal_table(result, measured)).rows:
        screen.print(shown)
    says = f"Mean ± standard deviation, seeds: {repetitions} (in brackets: the paper)."
    screen.print(f"{says} {_differences(measured)}".strip())
    if savings:
        screen.print(savings)
    screen.print(f"Written: {out}/{stem}.md, .csv, .png", soft_wrap=True, markup=False)


def _differences(measured: "list[Measured]") -> str:
    """What ± means after a difference, if there are any."""
    paired = any(m.number.baseline is not None for m in measured)
    return "Drops are paired by seed, ± the standard error of their mean. " if paired else ""


def _overview() -> "Table":
    from rich.table import Table

    from orderdp_train.reproduce import RESULTS, SCALES, estimate

    overview = Table("name", "what", "seeds", title="Results by command")
    for scale in SCALES.values():
        overview.add_column(f"{scale.name}: trainings", justify="right")
        overview.add_column(f"on {scale.processor}", justify="right")
    for result in RESULTS.values():
        costs = [estimate(result, scale, result.seeds) for scale in SCALES.values()]
        numbers = [text for c in costs for text in (f"{c.trainings}", _duration(c.hours))]
        overview.add_row(result.name, result.title, str(result.seeds), *numbers)
    overview.caption = (
        "Rough estimates from nothing; results share trainings that are the same, if they have the "
        "same --out."
    )
    return overview


def _costs() -> "dict[str, dict[str, Cost]]":
    from orderdp_train.reproduce import RESULTS, SCALES, estimate

    return {
        result.name: {s.name: estimate(result, s, result.seeds) for s in SCALES.values()}
        for result in RESULTS.values()
    }


def _duration(hours: float) -> str:
    return f"{hours:,.0f} h" if hours >= 2 else f"{60 * hours:,.0f} min"


def _terminal_table(result: "Result", measured: "list[Measured]") -> "Table":
    from rich.table import Table

    from orderdp_train.reproduce import table

    header, rows = table(measured)
    shown = Table(*header, title=result.title)
    for row in rows:
        shown.add_row(*row)
    return shown


def _page(
    result: "Result", scale: "Scale", seeds: int, measured: "list[Measured]", savings: str
) -> str:
    from orderdp_train.reproduce import markdown, recipes

    words = (
        f"Mean ± standard deviation, seeds: {seeds}; in brackets what the paper prints. "
        f"{_differences(measured)}"
        f"{result.remark} {savings}".strip()
        + f" {recipes(measured)}"
    )
    if scale.name == "smoke":
        stand_ins = {"digits": "CIFAR-10", "mnist5k": "CIFAR-100 and ImageNet"}
        used = {m.number.cell.config.data for m in measured}
        standing = ", ".join(f"{d} for {p}" for d, p in stand_ins.items() if d in used)
        usual = f"At this scale stand {standing}, and the small CNN for the ResNets."
        words += f" {result.stand_ins or usual}"
    return (
        f"# {result.title}\n\n`orderdp-train reproduce {result.name} --scale {scale.name} "
        f"--seeds {seeds}`\n\n{words}\n\n{markdown(measured)}\n"
        f"![{result.title}]({result.name}-{scale.name}.png)\n"
    )
