"""Generations by the names of their files: of which of them may a file be a copy, going by its name alone?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from .rotation import family, is_compressed, originals, plain_name
from .tailed import TailedFile, shown


class Index:
    """Generations by what `key` says of them; None = not at all."""

    def __init__(self, key: Callable[[TailedFile], object]) -> None:
        self._key = key
        self._files: defaultdict[object, dict[int, TailedFile]] = defaultdict(dict)

    def find(self, key: object) -> list[TailedFile]:
        """Return those with that key."""
        return list(self._files[key].values()) if key in self._files else []

    def add(self, file: TailedFile) -> None:
        """Take one in; its key must not change until it is removed."""
        if (key := self._key(file)) is not None:
            self._files[key][file.generation] = file

    def remove(self, file: TailedFile) -> None:
        """Take one out."""
        if (key := self._key(file)) is not None:
            del self._files[key][file.generation]
            if not self._files[key]:
                del self._files[key]


class Names:
    """Generations by the name that their file had at first and the one that it has now, without what rotation added."""

    def __init__(self, files: Iterable[TailedFile] = ()) -> None:
        self._born = Index(lambda file: plain_name(file.name))
        self._family = Index(lambda file: family(file.name))
        self._now = Index(lambda file: plain_name(shown(file.path)))
        for file in files:
            self.add(file)

    def add(self, file: TailedFile) -> None:
        """Take one in; its path must not change until it is removed."""
        for index in (self._born, self._family, self._now):
            index.add(file)

    def remove(self, file: TailedFile) -> None:
        """Take one out."""
        for index in (self._born, self._family, self._now):
            index.remove(file)

    def originals(self, path: str) -> list[TailedFile]:
        """Return the generations of which a file at `path` may be a copy: rotated, compressed, or unpacked again."""
        return list(dict.fromkeys(self._originals(path)))

    def _originals(self, path: str) -> Iterator[TailedFile]:
        name = plain_name(path)
        for original in originals(name):
            yield from self._born.find(original)
        if is_compressed(path):
            # Renamed and compressed between two looks: which number it had before can't be told.
            yield from (*self._family.find(family(path)), *self._now.find(name))
        else:
            yield from (other for other in self._now.find(name) if other.compressed)
