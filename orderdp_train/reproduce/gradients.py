"""Cosines of a finished epoch's pruned gradients to the full-data gradient (Table 11)."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.nn.functional import cosine_similarity

from orderdp_theory.files import write_atomically
from orderdp_train.audit.methods import population_of_images
from orderdp_train.audit.walk import expected_gradients
from orderdp_train.checkpoint import LATEST, load_checkpoint
from orderdp_train.data import ImageData
from orderdp_train.models import model_for
from orderdp_train.rules import build_rule
from orderdp_train.run import RunConfig

MOMENTS = 20  # checkpoints of a training, evenly spaced, that are looked at
FILE = "cosines.jsonl"


@dataclass(frozen=True)
class Cosines:
    """Cosine to ∇L of the gradient over one drawn selection, and of the rule's exact expectation.

    The paper measures the first kind, which mixes the bias of the rule with the noise of one draw.
    """

    epoch: int
    drawn: float
    expected: float


def moments(epochs: int) -> set[int]:
    """The epochs, counted from 1, after which cosines are measured."""
    return {math.ceil(k * epochs / MOMENTS) for k in range(1, MOMENTS + 1)}


def read_cosines(folder: Path) -> list[Cosines]:
    """What has been measured in this run folder so far."""
    path = folder / FILE
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Cosines(**json.loads(line)) for line in lines]


def measure_cosines(config: RunConfig, folder: Path, data: ImageData) -> None:
    """Add the cosines at the folder's checkpoint, unless they are there or it is not their moment.

    Plain images and the model in eval mode, at the checkpoint's weights and scores; the training
    loss of the recipe. One walk over the data gives all three gradients.
    """
    checkpoint = load_checkpoint(folder / LATEST)["state"]
    epoch: int = checkpoint["epoch"]
    known = read_cosines(folder)
    if epoch not in moments(config.recipe.epochs) or any(c.epoch == epoch for c in known):
        return
    n = data.num_train
    model = model_for(config.model, data)
    model.load_state_dict(checkpoint["model"])
    rule = build_rule(config.rule, n, config.keep, explore=config.explore, device=data.device)
    rule.load_state_dict(checkpoint["rule"])
    generator = torch.Generator().manual_seed(2**20 * config.seed + epoch)
    indices, weights = (part.cpu() for part in rule.select(generator))
    drawn = torch.zeros(n, dtype=torch.float64)
    drawn[indices] = weights.double() / len(indices)
    uniform = torch.full((n,), 1 / n, dtype=torch.float64)
    rows = torch.stack([uniform, drawn, rule.expected_weights().cpu()])
    population = population_of_images(data, config.recipe)
    full, *pruned = expected_gradients(model, population, rows, batch_size=512)
    cosines = [float(cosine_similarity(g, full, dim=0)) for g in pruned]
    lines = [json.dumps(asdict(c)) + "\n" for c in (*known, Cosines(epoch, *cosines))]
    write_atomically(folder / FILE, "".join(lines))
