"""Distance to prototypes."""

import warnings

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float64, Real
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.rules.base import check_generator
from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import Array, finite_matrix
from orderdp_train.scores.recording import Recording
from orderdp_train.scores.static_rule import ScoreRule


def k_means_prototypes(
    features: Real[Array, "n d"], clusters: int, generator: torch.Generator
) -> Float64[Tensor, "n"]:
    """Cosine distance of each sample to its prototype, float64 `(n,)`, in [0, 2]: hard ones first.

    k-means on the features scaled to unit length gives `clusters` prototypes; samples far from
    theirs are the hard ones, which are kept when data abound. A feature of length 0 has distance 1.

    Args:
        features: `(n, d)` embeddings, of a self-supervised model in the source.
        clusters: 1..n; the source takes the number of classes.
        generator: seeds k-means++.

    Source: Sorscher et al. (2022), the self-supervised prototypes metric.
    Cost O(n d clusters) an iteration, O(n d) memory.

    Example:
        >>> features = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
        >>> k_means_prototypes(features, 2, torch.Generator().manual_seed(0)).tolist()
        [0.0, 0.0, 0.0]
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    check_generator(generator)
    x = finite_matrix(features, "features")
    if not 1 <= clusters <= len(x):
        raise InputError(f"cannot make {clusters} clusters of {len(x)} samples")
    unit = F.normalize(x, dim=1)
    seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # some means may coincide
        means = KMeans(clusters, random_state=seed).fit(unit.cpu().numpy())
    prototypes = torch.from_numpy(np.asarray(means.cluster_centers_)).to(unit)
    own = torch.from_numpy(np.asarray(means.labels_, dtype=np.int64)).to(unit.device)
    return 1 - (unit * F.normalize(prototypes, dim=1)[own]).sum(1)


@register
class KMeansPrototypes(ScoreRule):
    """`k_means_prototypes` of the proxy's embeddings, with as many prototypes as classes."""

    name, label = "k-means-prototypes", "k-means prototypes"

    def scores(self, recording: Recording, generator: torch.Generator) -> Tensor:
        layer = recording.last_layer
        return k_means_prototypes(layer.features, layer.logits.shape[1], generator)
