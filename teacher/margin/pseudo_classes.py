"""Pseudo-classes: ears that the teacher itself finds alike, by clustering its embeddings"""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

SMALLEST_CLASS = 2  # ears a class on average, at least


def clustered_classes(embeddings: np.ndarray, classes: int, seed: int = 0) -> np.ndarray:
    """k-means of the embeddings' directions (N, D), as Caron et al., ECCV 2018, do it. Returns (N,) int64.

    With few ears there are fewer classes than asked for, so that each has two members on average.
    """
    count = number_of_classes(len(embeddings), classes)
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    units = (embeddings / lengths.clip(1e-12)).astype(np.float64)
    return KMeans(count, n_init=1, random_state=seed).fit_predict(units).astype(np.int64)


def random_classes(ears: int, classes: int, seed: int = 0) -> np.ndarray:
    """As many classes, drawn at random: what clustering has to be better than. Returns (N,) int64."""
    return np.random.default_rng([seed, 41]).integers(0, number_of_classes(ears, classes), ears)


def number_of_classes(ears: int, classes: int) -> int:
    """How many classes `ears` ears are divided into when `classes` are asked for."""
    return max(1, min(classes, ears // SMALLEST_CLASS))
