"""What a direction of the latent means: the share of its variance that each group of factors explains."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from configs.errors import UserError

FOLDS = 5
_RIDGE = np.logspace(-1, 4, 11)  # strengths of the ridge, the best by leave-one-out within the fitted ears


def factor_shares(
    scores: np.ndarray, groups: Mapping[str, np.ndarray], sources: Sequence[str]
) -> list[dict[str, float]]:
    """Of each column of `scores` (N, K) the share of its variance, 0 to 1, that a linear fit to each group of
    factors (N, D) predicts on ears that it was not fitted to (R squared; 5-fold, no source on both sides),
    and under `rest` what all groups together leave.

    Photographs of one ear share its anatomy and skin, hence the sources. A share below 0, a fit that is worse
    than the mean, is 0. Raises UserError for fewer than 5 sources.
    """
    if len(set(sources)) < FOLDS:
        raise UserError(f"{len(set(sources))} ears; at least {FOLDS} are needed to say what components mean")

    def explained(factors: np.ndarray) -> np.ndarray:
        fit = make_pipeline(StandardScaler(), RidgeCV(_RIDGE))
        predicted = cross_val_predict(fit, factors, scores, groups=sources, cv=GroupKFold(FOLDS))
        left = np.square(scores - predicted).sum(axis=0) / np.square(scores - scores.mean(axis=0)).sum(axis=0)
        return np.clip(1 - left, 0, 1)

    shares = {name: explained(factors) for name, factors in groups.items()}
    shares["rest"] = 1 - explained(np.hstack(list(groups.values())))
    return [{name: float(values[k]) for name, values in shares.items()} for k in range(scores.shape[1])]
