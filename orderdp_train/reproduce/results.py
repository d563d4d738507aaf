"""The paper's results, each as the list of numbers it consists of.

A result names, for every number, the training it comes from and how it is read off. What the paper
prints comes from the transcribed tables; their rows also are the grid of trainings.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from orderdp_theory.claims.tables import Row, read_table
from orderdp_train.reproduce.scales import (
    BEYOND,
    METHODS,
    STATIC,
    SURVEY,
    Scale,
    fine_tuning,
    splits,
)
from orderdp_train.reproduce.sweeping import Cell
from orderdp_train.runs import measures
from orderdp_train.runs.measures import Measure

FULL = "Whole Dataset"
DYNAMIC = ("Dynamic Random", "ε-greedy", "UCB", "InfoBatch", *BEYOND)


@dataclass(frozen=True)
class Number:
    """One number of a result: where it stands, how it is measured, what the paper prints.

    A column that is a number is a point of a curve; other columns make up a table. The label of a
    row or column is what the paper's layout shows. With a `baseline` the number is how far its
    cell falls below that one, seed by seed.
    """

    row: str
    column: str | float
    quantity: str
    cell: Cell
    measure: Measure
    printed: float | None = None
    printed_std: float | None = None
    baseline: Cell | None = None


@dataclass(frozen=True)
class Result:
    """A table or figure of the paper.

    `numbers` lists it at a scale, `remark` says how it departs from the paper.
    """

    name: str
    title: str
    numbers: Callable[[Scale], list[Number]]
    remark: str = ""
    stand_ins: str = ""  # of the smoke scale, where they are not the usual ones
    seeds: int = 5
    x_axis: str = "epoch"

    def cells(self, scale: Scale) -> list[Cell]:
        """The distinct trainings of one seed."""
        return list(dict.fromkeys(number.cell for number in self.numbers(scale)))


def _number(text: str | None) -> float | None:
    return float(text) if text else None


# Where a row of a printed table stands; the rest of it is what was measured there.
PLACES = ("dataset", "model", "prune_percent", "optimizer", "quantity", "progress")


def _rows(
    table: int, scale: Scale, *, drop: tuple[str, ...] = (), beside: str = "OrderDP"
) -> Iterator[Row]:
    """Rows of a printed table, and wherever it has OrderDP, survey sampling at the same budget.

    The smoke scale leaves out the models and data sets to `drop`, that it has nothing else for.
    """
    for row in read_table(table):
        if scale.name == "smoke" and (row["model"] in drop or row["dataset"] in drop):
            continue
        yield row
        if row["method"] == beside:
            same = {name: row[name] for name in PLACES if name in row}
            # Tables 6 and 7 have no budget but the saving that they print.
            budget = {"prune_percent": row.get("prune_percent", row.get("saved_percent", ""))}
            yield {**dict.fromkeys(row, ""), **budget, **same, "method": SURVEY}


def _accuracy(row: Row, column: str, cell: Cell) -> Number:
    printed, std = _number(row["accuracy"]), _number(row.get("accuracy_std"))
    name, read = "test accuracy (%)", measures.final_accuracy
    return Number(row["method"], column, name, cell, read, printed, std)


def _drop(row: Row, column: str, cell: Cell, whole: Cell) -> Number:
    name, read = "drop below the whole data set (points)", measures.final_accuracy
    label, printed = f"{row['method']}: drop", _number(row["gap"])
    return Number(label, column, name, cell, read, printed, baseline=whole)


# Tables


def _table_1(scale: Scale) -> list[Number]:
    """With the static methods that only the text names, and dynamic ones at the same budgets."""
    rows = list(_rows(1, scale, drop=("CIFAR-100",)))
    printed = {row["method"] for row in rows}
    others = [m for m in (*STATIC, *DYNAMIC) if m not in printed]
    budgets = [row for row in rows if row["method"] == "OrderDP"]
    blank = dict.fromkeys(("accuracy", "accuracy_std", "gap"), "")
    rows += [{**row, **blank, "method": method} for method in others for row in budgets]
    rows.sort(key=lambda row: list(METHODS).index(row["method"]))
    return _accuracies_and_drops(rows, scale)


def _table_2(scale: Scale) -> list[Number]:
    return _accuracies_and_drops(_rows(2, scale, drop=("ResNet-50",)), scale)


def _accuracies_and_drops(rows: Iterable[Row], scale: Scale) -> list[Number]:
    numbers = []
    for row in rows:
        percent = float(row["prune_percent"])
        cell = Cell(scale.config(row["method"], row["dataset"], row["model"], percent))
        whole = Cell(scale.config(FULL, row["dataset"], row["model"], 0.0))
        column = f"{row['dataset']} {row['model']} {percent:g} %"
        numbers.append(_accuracy(row, column, cell))
        if cell != whole:
            numbers.append(_drop(row, column, cell, whole))
    return numbers


def _table_3(scale: Scale) -> list[Number]:
    numbers = []
    for row in _rows(3, scale):
        method, percent = row["method"], float(row["prune_percent"])
        cell = Cell(scale.config(method, row["dataset"], row["model"], percent))
        accuracy, std = _number(row["accuracy"]), _number(row["accuracy_std"])
        time, nodes = _number(row["hours"]), _number(row["node_hours"])
        numbers += [
            Number("Acc (%)", method, "accuracy", cell, measures.final_accuracy, accuracy, std),
            Number("Time (h)", method, "time", cell, measures.hours, time),
            Number("Total (n*h)", method, "processor hours", cell, measures.hours, nodes),
        ]
    return numbers


def _table_4(scale: Scale) -> list[Number]:
    numbers = []
    for row in _rows(4, scale):
        percent = float(row["prune_percent"])
        cell = Cell(scale.config(row["method"], row["dataset"], row["model"], percent))
        whole = Cell(scale.config(FULL, row["dataset"], row["model"], 0.0))
        numbers.append(_accuracy(row, f"{percent:g} %", cell))
        if cell != whole:
            numbers.append(_drop(row, f"{percent:g} %", cell, whole))
    return numbers


def _table_5(scale: Scale) -> list[Number]:
    numbers = []
    for row in read_table(5):
        place = row["dataset"], row["model"], float(row["prune_percent"])
        column = f"{row['model']} {place[2]:g} %"

        def cell(method: str, percent: float, place: tuple[str, str, float] = place) -> Cell:
            config = scale.config(method, place[0], place[1], percent)
            if not config.model.startswith("mae-"):
                return Cell(config)
            return Cell(fine_tuning(config), pretraining=config)

        whole = cell(FULL, 0.0)
        blank = {"accuracy": "", "gap": ""}
        numbers.append(_accuracy({"method": FULL, "accuracy": row["original"]}, column, whole))
        for method, printed in (("OrderDP", row), (SURVEY, blank)):
            own = {"method": method, **{name: printed[name] for name in blank}}
            pruned = cell(method, place[2])
            numbers += [_accuracy(own, column, pruned), _drop(own, column, pruned, whole)]
    return numbers


def _lossless(table: int, scale: Scale, *columns: str, drop: tuple[str, ...] = ()) -> list[Number]:
    """Accuracy and saving of Tables 6 and 7, at the saving that the paper calls lossless."""
    numbers = []
    for row in _rows(table, scale, drop=drop):
        printed_saving = _number(row["saved_percent"])
        # InfoBatch saves what falls out of its usual probability of 1/2.
        saving = _number(row.get("prune_percent")) or printed_saving or 0.0
        percent = 50.0 if row["method"] == "InfoBatch" else saving
        config = scale.config(
            row["method"],
            row["dataset"],
            row["model"],
            percent,
            optimizer=row.get("optimizer", "SGD"),
        )
        method, column = row["method"], " ".join(row[name] for name in columns)
        numbers.append(_accuracy(row, column, Cell(config)))
        if method != FULL:
            numbers.append(
                Number(
                    f"{method}: saved (%)",
                    column,
                    "saved (%)",
                    Cell(config),
                    measures.saved,
                    printed_saving,
                )
            )
    return numbers


def _table_6(scale: Scale) -> list[Number]:
    return _lossless(6, scale, "dataset", "model", drop=("ResNet-50",))


def _table_7(scale: Scale) -> list[Number]:
    return _lossless(7, scale, "optimizer")


def _table_8(scale: Scale) -> list[Number]:
    numbers = []
    for row in _rows(8, scale):
        percent = float(row["prune_percent"])
        config = scale.config(row["method"], row["dataset"], row["model"], percent, max_lr=0.03)
        numbers.append(
            Number(
                f"{percent:g} % {row['method']}",
                f"{row['progress']} %",
                "Jaccard similarity",
                Cell(config),
                measures.over_phase("jaccard", row["progress"]),
                _number(row["jaccard"]),
                _number(row["std"]),
            )
        )
        if (row["method"], row["progress"]) == ("OrderDP", "100"):
            numbers.append(
                Number(
                    f"{percent:g} % OrderDP: at most",
                    "100 %",
                    "Jaccard similarity",
                    Cell(config),
                    measures.jaccard_ceiling(float(config.rule["explore"])),
                )
            )
    return numbers


# Nominal for InfoBatch, real for the others, as the text above Table 9 has it.
TABLE_9_PERCENT = {FULL: 0.0, "InfoBatch": 99.0}


def _table_9(scale: Scale) -> list[Number]:
    kinds = {
        "accuracy": ("Acc", "test_accuracy", 100.0),
        "gradient_norm": ("Grad", "grad_norm_mean", 1.0),
    }
    numbers = []
    for row in _rows(9, scale):
        percent = TABLE_9_PERCENT.get(row["method"], 61.0)
        config = scale.config(row["method"], row["dataset"], row["model"], percent, max_lr=0.03)
        label, metric, factor = kinds[row["quantity"]]
        phase = row["progress"]
        numbers.append(
            Number(
                f"{row['method']} {label}",
                phase if phase == "final" else f"{phase} %",
                row["quantity"],
                Cell(config),
                measures.over_phase(metric, phase, factor),
                _number(row["mean"]),
                _number(row["std"]),
            )
        )
    return numbers


def _table_11(scale: Scale) -> list[Number]:
    numbers = []
    for row in _rows(11, scale):
        percent = float(row["prune_percent"])
        config = scale.config(row["method"], row["dataset"], row["model"], percent, max_lr=0.03)
        cell, label, phase = (
            Cell(config, gradients=True),
            f"{percent:g} % {row['method']}",
            row["progress"],
        )
        numbers += [
            Number(
                label,
                f"{phase} %",
                "cosine of a drawn selection",
                cell,
                measures.cosine_over_phase("drawn", phase),
                _number(row["cosine"]),
                _number(row["std"]),
            ),
            Number(
                f"{label}: expectation",
                f"{phase} %",
                "cosine of the expectation",
                cell,
                measures.cosine_over_phase("expected", phase),
            ),
        ]
    return numbers


# Figures


def _bias(scale: Scale) -> list[Number]:
    """Every method, 30 % kept."""
    numbers = []
    for method in METHODS:
        percent = 0.0 if method == FULL else BIAS_PERCENT
        cell = Cell(scale.config(method, "CIFAR-10", "ResNet-18", percent), gradients=True)
        quantities = {
            "test accuracy (%)": measures.final_accuracy,
            "relative bias": measures.mean_bias,
            "angle (degrees)": measures.mean_angle,
            "kept (%)": measures.kept,
        }
        numbers += [Number(method, name, name, cell, m) for name, m in quantities.items()]
    return numbers


def _figure_1(scale: Scale) -> list[Number]:
    numbers = []
    for method in (FULL, "InfoBatch", "OrderDP"):
        percent = 0.0 if method == FULL else 70.0
        cell = Cell(scale.config(method, "CIFAR-100", "ResNet-18", percent))
        numbers.append(
            Number(
                method,
                "correlation",
                "accuracy and gradient norm: Pearson's R",
                cell,
                measures.accuracy_gradient_correlation,
                -0.93 if method == FULL else None,
            )
        )
        for epoch in range(1, cell.config.recipe.epochs + 1):
            curves = {
                "test accuracy (%)": measures.at_epoch("test_accuracy", epoch, 100),
                "gradient norm": measures.at_epoch("grad_norm_mean", epoch),
                "gradient norm: deviation over steps": measures.at_epoch("grad_norm_std", epoch),
                "gradient norm: deviation over epochs": measures.rolling_deviation(epoch),
            }
            numbers += [Number(method, epoch, name, cell, m) for name, m in curves.items()]
    return numbers


def _figure_3(scale: Scale) -> list[Number]:
    numbers = []
    for dataset in ("CIFAR-10", "CIFAR-100"):
        for method in ("InfoBatch", "OrderDP"):
            for percent in range(10, 100, 10):
                cell = Cell(scale.config(method, dataset, "ResNet-18", percent))
                curves = {
                    "test accuracy (%)": measures.final_accuracy,
                    "time (h)": measures.hours,
                    "saved (%)": measures.saved,
                }
                label = f"{method}, {dataset}"
                numbers += [Number(label, percent, name, cell, m) for name, m in curves.items()]
    return numbers


def _figure_4(scale: Scale) -> list[Number]:
    numbers = []
    for dataset in ("CIFAR-10", "CIFAR-100"):
        for keep in (0.3, 0.5):
            grid = {e for e in (0.4, 0.5, 0.6, 0.8, 1.0) if e > keep}
            for explore in sorted({keep, *grid, *splits(keep)}):
                percent = 100 * (1 - keep)
                config = scale.config("OrderDP", dataset, "ResNet-18", percent, explore=explore)
                label = f"{dataset}, {100 * keep:.0f} % kept"
                curves = {"test accuracy (%)": measures.final_accuracy, "time (h)": measures.hours}
                numbers += [
                    Number(label, explore, name, Cell(config), m) for name, m in curves.items()
                ]
    return numbers


def _usage(percent: float) -> Callable[[Scale], list[Number]]:
    def numbers(scale: Scale) -> list[Number]:
        cell = Cell(scale.config("OrderDP", "CIFAR-10", "ResNet-18", percent))
        never = Number("OrderDP", "never used", "samples", cell, measures.used_times(0), 0.0)
        counts = range(cell.config.recipe.epochs + 1)
        return [
            never,
            *(Number("OrderDP", c, "samples", cell, measures.used_times(c)) for c in counts),
        ]

    return numbers


def _time_to_accuracy(percent: float) -> Callable[[Scale], list[Number]]:
    def numbers(scale: Scale) -> list[Number]:
        found = []
        for method in (FULL, "Dynamic Random", "InfoBatch", "OrderDP"):
            cell = Cell(
                scale.config(method, "CIFAR-10", "ResNet-18", 0.0 if method == FULL else percent)
            )
            for epoch in range(1, cell.config.recipe.epochs + 1):
                accuracy = measures.at_epoch("test_accuracy", epoch, 100)
                found += [
                    Number(method, epoch, "time (h)", cell, measures.hours_until(epoch)),
                    Number(method, epoch, "test accuracy (%)", cell, accuracy),
                ]
        return found

    return numbers


NOMINAL = (
    "InfoBatch's percentage is its probability to prune a sample below the mean loss; what that "
    "saves follows from the losses and is less."
)
SPLIT = (
    "OrderDP explores s/n = 0.5 where 30 % is kept, as published splits have it where there are "
    "any (0.75 · 0.8 and 0.8 · 0.9 on ImageNet), and splits evenly, s/n = q/s, elsewhere."
)
SAVINGS = (
    "OrderDP runs at the saving that the paper prints, InfoBatch at its usual probability of 1/2; "
    "the search for the largest lossless saving is not repeated."
)
_USAGE_TITLE = "How often each sample is used, CIFAR-10, ResNet-18, {} % pruned"

BIAS_PERCENT = 70.0
EARLY = (
    "EL2N and GraNd are taken after the epochs in their names, or after the last one where a "
    "training is shorter, as means over ten proxies; the other static methods read one proxy, "
    "Glister and Influence one that held out a tenth of the samples as their validation set. The "
    "paper does not say how classes are balanced: Craig represents each class by its own samples, "
    "as published, the others do not look at classes."
)
AT_EVERY_STEP = (
    "Ordered SGD and RHO-loss select a batch at every step, as published, and keep more by what "
    "fills the last one; RHO-loss's holdout losses of each half of the samples are those of a "
    "proxy trained on the other half."
)

RESULTS = {
    result.name: result
    for result in (
        Result(
            "table1",
            "Static pruning, CIFAR-10 and CIFAR-100, ResNet-18",
            _table_1,
            "K-Means and Entropy are in the paper's text and not in its table, and of the dynamic "
            f"methods only OrderDP is. {EARLY} {AT_EVERY_STEP} {NOMINAL} {SPLIT}",
        ),
        Result("table2", "Dynamic pruning, CIFAR-10 and CIFAR-100", _table_2, f"{NOMINAL} {SPLIT}"),
        Result(
            "table3",
            "Performance and time, ImageNet, 40 % pruned",
            _table_3,
            f"{NOMINAL} {SPLIT} Total counts the one processor of a run; the paper had two.",
        ),
        Result("table4", "ImageNet, ResNet-50", _table_4, f"{NOMINAL} {SPLIT}"),
        Result(
            "table5",
            "Other architectures and recipes, ImageNet",
            _table_5,
            "Masked autoencoders are pre-trained with the method, by the reconstruction loss of "
            "each image, and fine-tuned on the whole data set: the prune ratio is that of the "
            "pre-training, as the paper's words have it.",
            stand_ins="At this scale digits stand for ImageNet, the small CNN for ResNet-50, a "
            "Swin transformer of 135 thousand parameters for Swin-T, and one of 85 thousand for "
            "ViT-B.",
        ),
        Result("table6", "Lossless savings by architecture", _table_6, SAVINGS),
        Result(
            "table7",
            "Lossless savings by optimizer, CIFAR-10, ResNet-50",
            _table_7,
            f"{SAVINGS} The paper gives no rates for AdamW, LARS and LAMB: they are ours.",
        ),
        Result(
            "table8",
            "Jaccard similarity of consecutive selections, CIFAR-100, ResNet-18",
            _table_8,
            "OrderDP's similarity has a ceiling x/(2 − x) at x = s/n: only a candidate can be kept "
            f"again. {NOMINAL} {SPLIT}",
        ),
        Result(
            "table9",
            "Stability over runs, CIFAR-100, ResNet-50, about 61 % pruned",
            _table_9,
            "Gradient norms are those of the minibatch gradients that training follows.",
            seeds=10,
        ),
        Result(
            "table11",
            "Cosine of pruned and full-data gradients, CIFAR-100, ResNet-18",
            _table_11,
            "A row of one drawn selection, as in the paper, mixes bias with the noise of the draw; "
            f"the row of the expectation is the bias alone. {NOMINAL} {SPLIT}",
        ),
        Result(
            "bias",
            "Bias against accuracy, all methods, CIFAR-10, ResNet-18, 70 % pruned",
            _bias,
            "Not in the paper. Bias and angle compare each method's exact expected gradient with "
            "the full-data gradient, at plain images, as means over its training; no sampling "
            f"error is in them. {EARLY} {AT_EVERY_STEP} {NOMINAL}",
        ),
        Result(
            "figure1", "Training dynamics, CIFAR-100, ResNet-18, 70 % pruned", _figure_1, NOMINAL
        ),
        Result(
            "figure3",
            "Accuracy and time by prune ratio, ResNet-18",
            _figure_3,
            NOMINAL,
            x_axis="pruned (%)",
        ),
        Result(
            "figure4",
            "One prune ratio, different splits s/n · q/s, ResNet-18",
            _figure_4,
            x_axis="explored fraction s/n",
        ),
        Result("figure9", _USAGE_TITLE.format(30), _usage(30.0)),
        Result("figure10", _USAGE_TITLE.format(50), _usage(50.0)),
        Result("figure11", _USAGE_TITLE.format(99), _usage(99.0)),
        Result(
            "figure12",
            "Time to accuracy, CIFAR-10, ResNet-18, 40 % pruned",
            _time_to_accuracy(40.0),
        ),
        Result(
            "figure13",
            "Time to accuracy, CIFAR-10, ResNet-18, 70 % pruned",
            _time_to_accuracy(70.0),
        ),
    )
}
