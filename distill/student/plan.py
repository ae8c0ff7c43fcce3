"""What a training will do, worked out before it starts: its steps, and what its batches are made of."""

from __future__ import annotations

from dataclasses import dataclass

from configs.errors import UserError


@dataclass(frozen=True)
class BatchMix:
    """How many labelled and other examples a batch has."""

    labelled: int
    others: int

    @property
    def batch_size(self) -> int:
        """Examples of a batch."""
        return self.labelled + self.others

    def __str__(self) -> str:
        return f"{self.labelled} labelled and {self.others} others" if self.others else "all labelled"


def batch_mix(
    batch_size: int,
    labelled_share: float,
    *,
    others_have_targets: bool,
    others_have_maps: bool = False,
    labelled_have_maps: bool = False,
    labelled_part: float = 0.0,
    processes: int = 1,
) -> BatchMix:
    """Labelled and other examples of a batch. The rule, in this order:

    1. Others that bring no targets of the student's own task (predicted points or boxes, heatmaps) take no
       labelled one's place: the batch is all labelled. That is so for the twin, which has no others, and
       where others bring maps alone.
    2. But where others alone have maps, none of the labelled, they are needed for the maps, and rule 3 holds.
    3. `labelled_share` of the batch is labelled; or `labelled_part`, if that is more: the labelled ones' part
       of all crops, where they are among the crops that the others come from. Fewer would show the labelled
       ones less often than the rest.

    Both counts are multiples of `processes`, at least one each for every process. Raises UserError for a
    batch that cannot be dealt out so.
    """
    require_shareable(batch_size, processes)
    needed_for_maps = others_have_maps and not labelled_have_maps
    if not others_have_targets and not needed_for_maps:
        return BatchMix(batch_size, 0)
    share = max(labelled_share, labelled_part)
    labelled = processes * round(batch_size * share / processes)
    labelled = min(max(labelled, processes), batch_size - processes)
    return BatchMix(labelled, batch_size - labelled)


def require_shareable(batch_size: int, processes: int) -> None:
    """Raise UserError unless a batch can be dealt out to so many processes, two examples each or more."""
    if batch_size % processes or batch_size < 2 * processes:
        raise UserError(
            f"batch_size={batch_size}: {processes} processes share a batch; a multiple of "
            f"{processes} from {2 * processes} on is needed."
        )


def plan_steps(steps: int, rounds: int) -> tuple[int, int]:
    """Rounds, and steps a round, the same for a twin. rounds: wanted; a round has at least one step."""
    rounds = min(rounds, steps)
    return rounds, max(1, round(steps / rounds))
