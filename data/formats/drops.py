"""What was left out on the way, and why."""

from __future__ import annotations

from typing import Any

from configs.errors import UserError

_KEPT_EXAMPLES = 5


class Drops:
    """Counts by reason, with the first few examples of each. `wanted`: reasons that are no faults."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.examples: dict[str, list[str]] = {}
        self.wanted: set[str] = set()

    def add(self, reason: str, example: str, count: int = 1, wanted: bool = False) -> None:
        """One more thing (or `count`) left out for `reason`; wanted: as it should be, as other classes."""
        self.counts[reason] = self.counts.get(reason, 0) + count
        if wanted:
            self.wanted.add(reason)
        examples = self.examples.setdefault(reason, [])
        if len(examples) < _KEPT_EXAMPLES:
            examples.append(example)

    def add_image(self, image: str, error: UserError, count: int = 1) -> None:
        """An image that cannot be read; the error's own words, which begin with the path, are the reason."""
        self.add("unreadable image: " + str(error).removeprefix(f"{image}: "), image, count)

    def merge(self, others: Drops) -> None:
        """Take over all of another record."""
        for reason, count in others.counts.items():
            examples = others.examples[reason]
            self.add(reason, examples[0], count, wanted=reason in others.wanted)
            kept = self.examples[reason]
            kept += [example for example in examples if example not in kept][: _KEPT_EXAMPLES - len(kept)]

    def faults(self) -> Drops:
        """Only what is broken."""
        found = Drops()
        for reason, count in self.counts.items():
            if reason not in self.wanted:
                found.counts[reason], found.examples[reason] = count, self.examples[reason]
        return found

    def table(self) -> str:
        """A line for each reason: number, reason, first example. Empty when nothing was left out."""
        width = max((len(f"{count:,}") for count in self.counts.values()), default=0)
        return "\n".join(
            f"  {count:>{width},}  {reason}   e.g. {self.examples[reason][0]}"
            for reason, count in sorted(self.counts.items(), key=lambda item: -item[1])
        )

    def to_json(self) -> list[dict[str, Any]]:
        """The same for JSON."""
        return [
            {"reason": reason, "count": count, "examples": self.examples[reason]}
            for reason, count in self.counts.items()
        ]
