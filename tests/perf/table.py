"""Rows of a benchmark: a measurement and its floor, in milliseconds."""

from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured, and the least that it could cost, from the same run."""

    name: str
    samples_ms: list[float]
    floor_name: str
    floor_ms: list[float]

    @property
    def ratio(self) -> float:
        """Median over the floor's median."""
        return median(self.samples_ms) / median(self.floor_ms)

    def to_json(self) -> dict[str, Any]:
        """Medians, 95th percentiles and the ratio."""
        return {
            "name": self.name,
            "median_ms": round(median(self.samples_ms), 3),
            "p95_ms": round(p95(self.samples_ms), 3),
            "floor": self.floor_name,
            "floor_median_ms": round(median(self.floor_ms), 3),
            "ratio": round(self.ratio, 2),
            "rounds": len(self.samples_ms),
        }


def p95(samples: list[float]) -> float:
    """The 95th percentile."""
    return quantiles(samples, n=20)[-1]


def table(title: str, rows: list[Row]) -> str:
    """For people."""
    width = max(22, *(len(row.name) for row in rows))
    lines = [title, f"  {'':<{width}}{'median':>10} {'p95':>9}   {'floor':>9}  {'ratio':>6}"]
    lines += [
        f"  {row.name:<{width}}{median(row.samples_ms):>7.2f} ms {p95(row.samples_ms):>6.2f} ms"
        f"   {median(row.floor_ms):>6.2f} ms  {row.ratio:>5.1f}x   of {row.floor_name}"
        for row in rows
    ]
    return "\n".join(lines)
