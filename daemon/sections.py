"""Sections of a TOML file, read into dataclasses by the rules of their fields: every fault at once, with its place.

It knows no key of the configuration (config.py) and no rule (rules.py).
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from bondmate import rules
from bondmate.errors import ConfigurationError

_MAX_SHOWN = 80
"""Characters of what was refused in its message."""


class Document:
    """The text of a TOML file, and what is wrong with it."""

    def __init__(self, text: str, name: str) -> None:
        """`name` is the file's, for messages. Raises ConfigurationError for what is no TOML."""
        self._text = text
        self._name = name
        self._problems: list[str] = []
        try:
            self._values = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            # beside its own ValueError tomllib lets those of numbers and of deep nesting through
            raise ConfigurationError([f"{name}: not TOML: {error}"]) from error

    def read(self, kinds: Mapping[str, Any]) -> dict[str, Any]:
        """The sections as these dataclasses, by name; None for one that lacks what is needed."""
        for unknown in self._values.keys() - kinds.keys():
            self.fault(unknown, None, f"unknown section or key; there are {', '.join(kinds)}")
        sections: dict[str, Any] = {}
        for section, kind in kinds.items():
            values = self._values.get(section, {})
            if isinstance(values, dict):
                sections[section] = self._section(kind, section, values)
            else:
                self.fault(section, None, f"found {_shown(values)}, allowed is a section [{section}]")
        return sections

    def fault(self, section: str, key: str | None, text: str) -> None:
        """Something is wrong there."""
        self._problems.append(f"{self._place(section, key)}: {text}")

    def settle(self) -> None:
        """Raises ConfigurationError with all faults in the order of the file, if there are any."""
        if self._problems:
            raise ConfigurationError(sorted(self._problems, key=_line_number))

    def _section(self, kind: Any, section: str, values: Mapping[str, Any]) -> Any:
        known: dict[str, tuple[rules.Rule, Any]] = {
            key.name: (key.metadata[rules.METADATA], key.default) for key in fields(kind)
        }
        for unknown in values.keys() - known.keys():
            self.fault(section, unknown, f"unknown key; there are {', '.join(known)}")
        accepted: dict[str, Any] = {}
        for key, (rule, default) in known.items():
            if key not in values:
                if default is MISSING:
                    self.fault(section, key, f"missing, allowed is {rule.allowed}")
            elif rule.check(values[key]):
                accepted[key] = rule.convert(values[key])
            else:
                self.fault(section, key, f"found {_shown(values[key])}, allowed is {rule.allowed}")
        missing = [key for key, (_, default) in known.items() if default is MISSING and key not in accepted]
        return None if missing else kind(**accepted)

    def _place(self, section: str, key: str | None) -> str:
        """`file:line: section.key`, where the line can be told; tomllib does not keep lines."""
        wanted = section if key is None else f"{section}.{key}"
        # an unknown key may be anything in quotes
        shown = wanted if wanted.isprintable() and len(wanted) <= _MAX_SHOWN else _shown(wanted)
        current = ""
        for number, line in enumerate(self._text.splitlines(), start=1):
            if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
                current = header[1]
                here = current
            elif pair := re.match(r"\s*([\w.-]+)\s*=", line):
                here = f"{current}.{pair[1]}".lstrip(".")
            else:
                continue
            if here == wanted:
                return f"{self._name}:{number}: {shown}"
        return f"{self._name}: {shown}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _line_number(problem: str) -> int:
    match = re.match(r".*?:(\d+): ", problem)
    return int(match[1]) if match else 0
