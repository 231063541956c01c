"""This computer's programs, where a build takes those of the image's release."""

from collections.abc import Sequence
from pathlib import Path

from bondmate_image.host import Tools


class Here(Tools):
    """Tools that enter no folder: /folder/ at the beginning of a word is the folder itself."""

    def command(self, work: Path, argv: Sequence[str | Path]) -> list[str]:
        return [str(word).replace("/folder/", f"{work}/") for word in argv]


HERE = Here(Path("/"), Path("/"))
