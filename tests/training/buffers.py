"""A model with BatchNorm trained by two processes, with and without sharing its statistics.

torchrun --nproc-per-node=2 tests/training/buffers.py FOLDER
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from orderdp_train import RULES, Recipe, RuleConfig, fresh_scorer, load_data, train
from orderdp_train.training import loop
from orderdp_train.training.processes import gather_objects, processes, rank

if __name__ == "__main__":
    with processes(torch.device("cpu")):
        data = load_data("digits")
        found = {}
        for way in ("shared", "not shared"):
            torch.manual_seed(0)
            model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
            recipe = Recipe(epochs=1, batch_size=100)
            seen = []

            def scorer(indices, model=model, recipe=recipe, seen=seen):
                seen.append(gather_objects(model[1].running_mean.clone()))
                return fresh_scorer(model, data, recipe)(indices)

            shares = {} if way == "shared" else {"share_buffers": lambda model: None}
            rule = RULES["orderdp-fresh"]
            built = RuleConfig(rule.name).per_step(data.num_train, 100)[0]
            built = built.build(data.num_train, scorer=scorer)
            with mock.patch.multiple(loop, **shares) if shares else nullcontext():
                next(train(model, data, built, recipe, steps_per_epoch=3))
            seen.append(gather_objects(model[1].running_mean.clone()))
            found[way] = [[torch.equal(m, means[0]) for m in means] for means in seen[1:]]
        if rank() == 0:
            torch.save(found, Path(sys.argv[1]) / "found.pt")
