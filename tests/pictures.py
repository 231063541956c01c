"""Draws what the documents show of the cores' tables: `python -m tests.pictures` writes the files anew.

test_docs.py compares them, so that no picture shows what the product does not do.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from bondmate.core.alert import OVER, TRANSITIONS, State
from bondmate.core.feedback import Pattern

DOCS = Path(__file__).parent.parent / "docs"
LIFE_BEGINS, LIFE_ENDS = "```mermaid\n", "```\n"
"""Around the picture of an alert's life, in its page."""
PIXELS_A_SECOND = 220
LEFT, ROW, TOP = 260, 54, 18
"""Where time begins, how high a pattern's row is, and where the first one begins; in pixels."""
SECONDS = 2.0

SAID = {
    Pattern.STORED: ("stored", "it cannot be lost any more"),
    Pattern.DELIVERED: ("delivered", "the gateway has signed for it"),
    Pattern.ACKNOWLEDGED: ("acknowledged", "a human saw it"),
    Pattern.NO_WAY_OUT: ("do not rely on it", "no way out, or refused: use the radio"),
    Pattern.ATTENTION: ("attention", "look at the device when there is time"),
    Pattern.EXERCISE: ("exercise", "nobody will come"),
}
"""In the order of the picture."""


PROMISED = {pattern: pattern.value for pattern in SAID}


def vibrations(
    felt: Mapping[Pattern, Sequence[float]] = PROMISED, title: str = "The vibrations, over two seconds"
) -> str:
    """The picture of the patterns, as SVG; each as (on, off, on, …) in seconds."""
    foot = TOP + ROW * len(SAID) - 2
    height = foot + 30
    rows = "".join(_row(pattern, felt[pattern], TOP + ROW * number) for number, pattern in enumerate(SAID))
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" font-family="sans-serif" font-size="15" role="img">
<title>{title}</title>
<rect width="760" height="{height}" fill="#ffffff"/>
{rows}<g font-size="12" fill="#5a6b7b" stroke="#c4ccd4">
{"".join(_mark(number / 2, foot) for number in range(round(SECONDS * 2) + 1))}\
  <line x1="{LEFT}" y1="{foot}" x2="{LEFT + SECONDS * PIXELS_A_SECOND:g}" y2="{foot}"/>
</g>
</svg>
"""


def _row(pattern: Pattern, lengths_s: Sequence[float], y: int) -> str:
    name, meaning = SAID[pattern]
    begins_s = [0.0, *accumulate(lengths_s)][:-1:2]
    pulses = "".join(
        f'  <rect x="{LEFT + begin_s * PIXELS_A_SECOND:g}" y="{y}" width="{length_s * PIXELS_A_SECOND:g}"'
        ' height="34" rx="3" fill="#1f6feb"/>\n'
        for begin_s, length_s in zip(begins_s, lengths_s[::2], strict=True)
    )
    return f"""\
<g id="{pattern.name}">
  <text x="16" y="{y + 16}" font-weight="bold" fill="#1b2a3a">{name}</text>
  <text x="16" y="{y + 36}" font-size="12" fill="#5a6b7b">{meaning}</text>
{pulses}</g>
"""


def _mark(second: float, y: int) -> str:
    x = f"{LEFT + second * PIXELS_A_SECOND:g}"
    return f"""\
  <line x1="{x}" y1="{y}" x2="{x}" y2="{y + 6}"/>
  <text x="{x}" y="{y + 22}" text-anchor="middle" stroke="none">{second:g} s</text>
"""


def life() -> str:
    """The table of an alert's life, as a Mermaid state diagram. What is not drawn changes nothing."""
    steps = [
        f"  {state} --> {then} : {event.value}"
        for state, row in TRANSITIONS.items()
        for event, then in row.items()
        if then is not state
    ]
    ends = [f"  {state} --> [*]" for state in State if state in OVER]
    return "\n".join(["stateDiagram-v2", f"  [*] --> {State.RAISED}", *steps, *ends]) + "\n"


def page_of_life(page: str) -> str:
    """The page with its picture drawn anew."""
    before, begins, drawn = page.partition(LIFE_BEGINS)
    _, ends, behind = drawn.partition(LIFE_ENDS)
    return f"{before}{begins}{life()}{ends}{behind}"


if __name__ == "__main__":
    (DOCS / "vibrations.svg").write_text(vibrations(), encoding="utf-8")
    page = DOCS / "alert.md"
    page.write_text(page_of_life(page.read_text(encoding="utf-8")), encoding="utf-8")
