"""What is wrong with a configuration: collected, so that a person sees all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ingest.config.keys import KeyPath, parse_key, toml_key
from ingest.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, at one key. `text` holds no secret and says what would be right."""

    path: KeyPath
    text: str

    @property
    def key(self) -> str:
        """Return the key as written in TOML."""
        return toml_key(self.path)


class ConfigErrors(ConfigError):
    """All problems of a file, one a line: `ingest.toml:12: sink.group: missing`. Its `key` is the first one's."""

    def __init__(self, errors: Iterable[ConfigError], lines: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__(self.errors[0].key, self.errors[0].problem)
        self.args = ("\n".join(lines),)


class Problems:
    """Collects problems, each once, in the order in which they were found."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def add(self, path: KeyPath, text: str) -> None:
        """Note a problem."""
        self._found[Problem(path, text)] = None

    def add_error(self, path: KeyPath, error: ConfigError) -> None:
        """Note a ConfigError that was raised by what the table at `path` configures; its key is relative to that."""
        for problem in error.errors if isinstance(error, ConfigErrors) else [error]:
            self.add((*path, *parse_key(problem.key)), problem.problem)

    def raise_if_any(self, file: str = "", line_of: Callable[[KeyPath], int | None] = lambda _: None) -> None:
        """Raise ConfigErrors when there are problems.

        Args:
            file: what stands before each problem; "" = nothing.
            line_of: path of a key → its line there, by which the problems are sorted.
        """
        if not self._found:
            return
        numbered = sorted(
            ((line_of(problem.path) or 0, ConfigError(problem.key, problem.text)) for problem in self._found),
            key=lambda pair: pair[0],
        )
        lines = [f"{_where(file, line)}{error}" for line, error in numbered]
        raise ConfigErrors([error for _, error in numbered], lines)


def _where(file: str, line: int) -> str:
    if not file:
        return ""
    return f"{file}:{line}: " if line else f"{file}: "
