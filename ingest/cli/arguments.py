"""Options that several commands share, so that they are called and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

ConfigFile: TypeAlias = Annotated[Path, typer.Option("-c", "--config", help="The configuration file.", metavar="FILE")]
StateDir: TypeAlias = Annotated[
    Path | None, typer.Option("--state", help="Takes the place of state.dir in the file.", metavar="DIR")
]
Listen: TypeAlias = Annotated[
    str | None, typer.Option("--listen", help="Takes the place of web.listen in the file.", metavar="ADDRESS")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
