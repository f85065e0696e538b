"""Runs `ingest …` and says what its CPU time went to: `sampled.py REPORT ship -c FILE --once`.

Now and then a thread asks the kernel how much CPU each thread had since the last time, and notes it under
that thread's stack. So threads that wait cost nothing, and work that has let the interpreter's lock go counts as well.
"""

from __future__ import annotations

import json
import sys
import sysconfig
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

PAUSE = 0.02
"""Not more often: a frame that is looked at keeps its arrays alive, and the next ones need fresh memory."""
DEEPEST = 60
_LIBRARIES = sysconfig.get_paths()["purelib"]
_STANDARD = sysconfig.get_paths()["stdlib"]


class Sampler(threading.Thread):
    """Notes stacks until it is told to stop. `stacks`: thread and frames, outermost first → nanoseconds of CPU."""

    def __init__(self) -> None:
        super().__init__(daemon=True, name="sampler")
        self.stacks: Counter[tuple[str, ...]] = Counter()
        self.spent = 0.0
        """CPU seconds of the sampler itself."""
        self._seen: dict[int, int] = {}
        self._stopping = threading.Event()

    def run(self) -> None:
        """Sample."""
        while not self._stopping.wait(PAUSE):
            self._sample()
        self.spent = time.thread_time()

    def stop(self) -> None:
        """Return once it has ended."""
        self._stopping.set()
        self.join()

    def _sample(self) -> None:
        frames = sys._current_frames()
        for thread in threading.enumerate():
            native, frame = thread.native_id, frames.get(thread.ident or 0)
            if thread is self or native is None or frame is None:
                continue
            try:
                had = int(Path(f"/proc/self/task/{native}/schedstat").read_text().split()[0])
            except OSError:
                continue
            before = self._seen.get(native, 0)
            self._seen[native] = had
            if had > before:
                self.stacks[(_kind(thread.name), *_stack(frame))] += had - before


def _kind(name: str) -> str:
    return name.rstrip("0123456789_-") or name


def _stack(frame: FrameType | None) -> list[str]:
    found: list[str] = []
    while frame is not None and len(found) < DEEPEST:
        code = frame.f_code
        found.append(f"{_module(code.co_filename)}:{code.co_qualname}:{frame.f_lineno}")
        frame = frame.f_back
    return found[::-1]


def _module(path: str) -> str:
    for root in (_LIBRARIES, _STANDARD):
        path = path.removeprefix(root)
    parts = Path(path).with_suffix("").parts
    for own in ("ingest", "connectors"):
        if own in parts:
            return ".".join(parts[len(parts) - 1 - parts[::-1].index(own) :])
    return ".".join(part for part in parts if part != "/")


def main() -> None:
    report, *arguments = sys.argv[1:]
    sampler = Sampler()
    sampler.start()
    from ingest.cli.main import main as ingest

    code = ingest(arguments)
    sampler.stop()
    found: dict[str, Any] = {
        "cpu": time.process_time(),
        "sampler": sampler.spent,
        "stacks": [[list(stack), spent / 1e9] for stack, spent in sampler.stacks.items()],
    }
    Path(report).write_text(json.dumps(found))
    sys.exit(code)


if __name__ == "__main__":
    main()
