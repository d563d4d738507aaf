"""A finished epoch's pruned gradients against the full-data gradient (Table 11)."""

import math

import torch
from torch.nn.functional import cosine_similarity

from orderdp_train.auditing.population import population_of_images
from orderdp_train.auditing.walk import expected_gradients
from orderdp_train.data import TrainTestData
from orderdp_train.models import model_for
from orderdp_train.runs.folder import RunFolder
from orderdp_train.runs.history import Gradients
from orderdp_train.training.loop import fresh_scorer
from orderdp_train.training.processes import gather_objects, rank

POINTS = 20  # checkpoints of a training, evenly spaced, that are looked at


def looked_at(epochs: int) -> set[int]:
    """The epochs, counted from 1, after which gradients are measured."""
    return {math.ceil(k * epochs / POINTS) for k in range(1, POINTS + 1)}


def measure_gradients(folder: RunFolder, data: TrainTestData) -> None:
    """Look at the gradients at the folder's checkpoint, if that is due and not done.

    Plain images and the model in eval mode, at the checkpoint's weights and scores; the training
    loss of the recipe. One walk over the data gives all three gradients.
    """
    config, stored = folder.config(), folder.load()
    if stored is None:
        return
    state = stored["state"]
    epoch: int = state["epoch"]
    known = folder.gradients()
    if epoch not in looked_at(config.recipe.epochs) or any(g.epoch == epoch for g in known):
        return
    n = data.num_train
    with torch.random.fork_rng(devices=[]):  # a look leaves the training as it is
        model = model_for(config.model, data, config.recipe.drop_path)
    model.load_state_dict(state["model"])
    scorer = fresh_scorer(model, data, config.recipe)
    per_step, _ = config.per_step(n)
    rule = per_step.build(
        n,
        scorer=scorer,
        epochs=config.recipe.epochs,
        seed=config.seed,
        device=data.device,
    )
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
    drawn_cosine, cosine = (float(cosine_similarity(g, full, dim=0)) for g in pruned)
    bias = float((pruned[-1] - full).norm() / full.norm())
    if rank() == 0:
        folder.write_gradients([*known, Gradients(epoch, drawn_cosine, cosine, bias)])
    gather_objects(None)  # before anybody reads them
