"""The measurements as rows: for people as a table, ratios first, for others as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One saving beside its plain counterpart.

    value: in `unit`, and what it is compared with; the ratio is value over the counterpart's where more is
    better, the other way round where less is. goal: of the ratio, or of the value where there is no
    counterpart; None where there is none.
    """

    what: str
    unit: str
    value: float
    against: str = ""
    other: float | None = None
    less_is_better: bool = False
    goal: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better than the counterpart."""
        if self.other is None:
            return None
        return self.other / self.value if self.less_is_better else self.value / self.other

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        if self.ratio is not None:
            return self.ratio >= self.goal
        return self.value <= self.goal if self.less_is_better else self.value >= self.goal

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**self.__dict__, "ratio": self.ratio, "reached": self.reached}


def markdown(rows: list[Row], limits: dict[str, Any]) -> str:
    """The table, and above it the machine's own limits."""
    machine = (
        f"{limits['device']}, {limits['cores']} cores, {limits['threads']} threads, torch {limits['torch']}; "
        f"matrix product {limits['matmul_fp32_flops'] / 1e9:,.0f} GFLOP/s in fp32, "
        f"{limits['matmul_bf16_flops'] / 1e9:,.0f} in bf16"
    )
    lines = [machine, "", "| ratio | goal | what | measured | against | that | |", "|---" * 7 + "|"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
        sign = "at most " if row.less_is_better and row.ratio is None else ""
        goal = "" if row.goal is None else f"{sign}{row.goal:g}{'' if row.reached else ' (missed)'}"
        other = "" if row.other is None else f"{_short(row.other)} {row.unit}"
        measured = f"{_short(row.value)} {row.unit}"
        lines.append(f"| {ratio} | {goal} | {row.what} | {measured} | {row.against} | {other} | {row.note} |")
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
