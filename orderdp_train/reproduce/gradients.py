"""Cosines of a finished epoch's pruned gradients to the full-data gradient (Table 11)."""

import math

import torch
from torch.nn.functional import cosine_similarity

from orderdp_train.auditing.population import population_of_images
from orderdp_train.auditing.walk import expected_gradients
from orderdp_train.data import TrainTestData
from orderdp_train.models import model_for
from orderdp_train.runs.folder import RunFolder
from orderdp_train.runs.history import Cosines

POINTS = 20  # checkpoints of a training, evenly spaced, that are looked at


def looked_at(epochs: int) -> set[int]:
    """The epochs, counted from 1, after which cosines are measured."""
    return {math.ceil(k * epochs / POINTS) for k in range(1, POINTS + 1)}


def measure_cosines(folder: RunFolder, data: TrainTestData) -> None:
    """Add the cosines at the folder's checkpoint, unless they are there or nothing is looked at.

    Plain images and the model in eval mode, at the checkpoint's weights and scores; the training
    loss of the recipe. One walk over the data gives all three gradients.
    """
    config, stored = folder.config(), folder.load()
    if stored is None:
        return
    state = stored["state"]
    epoch: int = state["epoch"]
    known = folder.cosines()
    if epoch not in looked_at(config.recipe.epochs) or any(c.epoch == epoch for c in known):
        return
    n = data.num_train
    model = model_for(config.model, data)
    model.load_state_dict(state["model"])
    rule = config.rule.build(n, epochs=config.recipe.epochs, device=data.device)
    rule.load_state_dict(state["rule"])
    rule.set_epoch(epoch)
    generator = torch.Generator().manual_seed(2**20 * config.seed + epoch)
    indices, weights = (part.cpu() for part in rule.select(generator))
    drawn = torch.zeros(n, dtype=torch.float64)
    drawn[indices] = weights.double() / len(indices)
    uniform = torch.full((n,), 1 / n, dtype=torch.float64)
    rows = torch.stack([uniform, drawn, rule.expected_weights().cpu()])
    population = population_of_images(data, config.recipe)
    full, *pruned = expected_gradients(model, population, rows, batch_size=512)
    cosines = [float(cosine_similarity(g, full, dim=0)) for g in pruned]
    folder.write_cosines([*known, Cosines(epoch, *cosines)])
