"""A live log writer: appends while it is being shipped, rotates by rename, ends bursts in the middle of a line.

With `compress` what was rotated is compressed at once, as logrotate does, by gzip itself.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class LiveLog:
    """One log being written by a thread; `lines` is what the truth is."""

    path: Path
    lines: Iterable[str]
    per_second: int
    rotate_every: int
    compress: bool = False
    written: int = 0
    rotations: int = 0
    _thread: threading.Thread | None = field(default=None, repr=False)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def join(self) -> None:
        assert self._thread is not None
        self._thread.join()

    def files(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{self.path.name}*"))

    def _run(self) -> None:
        burst = max(1, self.per_second // 50)
        began = time.monotonic()
        file = self.path.open("ab", buffering=0)
        batch: list[str] = []
        for line in self.lines:
            batch.append(line)
            if len(batch) < burst:
                continue
            data = "".join(f"{each}\n" for each in batch).encode()
            file.write(data[:-30])
            ahead = self.written / self.per_second - (time.monotonic() - began)
            if ahead > 0:
                time.sleep(ahead)
            file.write(data[-30:])
            before, self.written = self.written, self.written + len(batch)
            batch = []
            if before // self.rotate_every != self.written // self.rotate_every:
                file.close()
                self.rotations += 1
                rotated = self.path.with_name(f"{self.path.name}.{self.rotations}")
                self.path.rename(rotated)
                file = self.path.open("ab", buffering=0)
                if self.compress:
                    subprocess.run(["gzip", rotated], check=True)
        file.write("".join(f"{each}\n" for each in batch).encode())
        self.written += len(batch)
        file.close()
