"""What the officer chose: the page's language, and whether the device is covert. Kept over restarts."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import cbor2

from bondmate.errors import LocalError
from bondmate.ports import Indicator
from bondmate.small_state import SmallStates

log = logging.getLogger(__name__)

NAME = "settings"
LANGUAGES = ("en", "pt", "el")


@dataclass(frozen=True, slots=True)
class Settings:
    """`language` is None until somebody chose one."""

    language: str | None
    covert: bool


class SettingsKeeper:
    """All methods run in the event loop."""

    def __init__(
        self, states: SmallStates, indicator: Indicator, deadline_s: float, changed: Callable[[], None]
    ) -> None:
        """`changed` is called when something was chosen."""
        self._states = states
        self._indicator = indicator
        self._deadline_s = deadline_s
        self._changed = changed
        self._configured = indicator.covert
        self._language: str | None = None
        self._covert: bool | None = None
        """What was chosen, in an earlier session too; None: nothing."""
        self._known = False
        # until it is known what an earlier session chose, nothing is lit and nothing sounds
        indicator.covert = True

    @property
    def current(self) -> Settings:
        """What counts now."""
        return Settings(self._language, self._configured if self._covert is None else self._covert)

    async def change(self, *, language: str | None = None, covert: bool | None = None) -> bool:
        """Choose what is given; whether the store has it. LocalError for a language that there is not."""
        if language is not None and language not in LANGUAGES:
            raise LocalError(f"no language {language!r}; there are {', '.join(LANGUAGES)}")
        self._language = language or self._language
        self._covert = self._covert if covert is None else covert
        self._obey()
        if not self._known:
            return False  # what an earlier session chose of the rest would be lost
        return await self._states.keep(NAME, self._octets(), self._deadline_s)

    async def resume(self) -> None:
        """Take up what an earlier session kept, where there is nothing newer. Raises StoreError."""
        kept = await self._states.item(NAME)
        self._known = True
        match kept:
            case [None | str() as language, None | bool() as covert] if language in (None, *LANGUAGES):
                self._language = self._language or language
                self._covert = covert if self._covert is None else self._covert
            case None:
                pass
            case _:
                log.error("what was kept as %s cannot be read: they are no settings", NAME)
        if (self._language, self._covert) != (None, None):
            self._states.put(NAME, self._octets())
        self._obey()

    def _obey(self) -> None:
        self._indicator.covert = self.current.covert or (not self._known and self._covert is None)
        self._changed()

    def _octets(self) -> bytes:
        return cbor2.dumps([self._language, self._covert])
