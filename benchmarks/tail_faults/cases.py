"""What happens to files, and to who reads them.

Pauses are the writers' own rhythm: nobody waits for anything by them.
"""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.tail_faults.logs import until
from benchmarks.tail_faults.scene import Scene
from benchmarks.tail_faults.settings import Settings

Play = Callable[[Scene], None]
CASES: dict[str, tuple[Settings, Play]] = {}


def case(settings: Settings) -> Callable[[Play], Play]:
    """Register a case."""

    def register(play: Play) -> Play:
        CASES[settings.key] = (settings, play)
        return play

    return register


# ── rotation by rename ──


@case(Settings("s1", "renamed and made anew ×5, rotated names in the glob"))
def rename_in_glob(scene: Scene) -> None:
    scene.begin()
    for _ in range(5):
        scene.log.write(2000)
        scene.caught_up()
        scene.log.rotate()
        scene.log.write(2000)
        scene.caught_up()


@case(Settings("s1-fast", "the same without waiting for the shipper"))
def rename_in_glob_fast(scene: Scene) -> None:
    scene.begin()
    for _ in range(5):
        scene.log.write(2000)
        scene.log.rotate()
        time.sleep(0.1)


@case(Settings("s1b", "a burst into a new file, renamed out of the glob within milliseconds, ×5", glob="app.log"))
def burst_out_of_glob(scene: Scene) -> None:
    scene.begin()
    for number in range(5):
        scene.log.path.rename(scene.directory / f"old-{number}")
        scene.log.write(2000)
        scene.log.path.rename(scene.directory / f"burst-{number}")
        scene.log.write(10)
        time.sleep(1.5)


@case(Settings("s12", "300,000 unread lines renamed out of the glob at once", glob="app.log"))
def backlog_out_of_glob(scene: Scene) -> None:
    scene.begin()
    scene.log.write(300_000)
    scene.log.path.rename(scene.directory / "old")
    scene.log.write(1000)


@case(Settings("late", "a writer goes on in the renamed file, outside of the glob", glob="app.log"))
def late_writer(scene: Scene) -> None:
    scene.begin()
    with scene.log.path.open("ab", buffering=0) as late:
        scene.log.path.rename(scene.directory / "old")
        scene.log.write(1000)
        for _ in range(8):
            time.sleep(1.0)
            late.write(scene.lines.many(100))


@case(Settings("deleted", "deleted with 100,000 unread lines"))
def deleted_with_backlog(scene: Scene) -> None:
    scene.begin()
    scene.log.write(100_000)
    scene.log.path.unlink()
    scene.log.write(1000)


@case(Settings("storm", "200 rotations of an empty file within a second, then lines"))
def storm(scene: Scene) -> None:
    scene.begin()
    for _ in range(200):
        scene.log.append(b"")
        scene.log.path.rename(scene.directory / "app.log.1")
        time.sleep(0.005)
    scene.log.write(1000)


def rename_stopped(scene: Scene) -> None:
    scene.begin()
    scene.stop()
    scene.log.write(500)
    scene.log.rotate()
    scene.log.write(1000)
    scene.start()


case(Settings("s3", "renamed while stopped, with unread lines"))(rename_stopped)
case(Settings("s3-out", "the same, renamed out of the glob", glob="app.log"))(rename_stopped)


@case(Settings("atomic", "replaced by a rename over it, as editors do"))
def atomic_replace(scene: Scene) -> None:
    scene.begin()
    fresh = scene.file(".app.log.swp")
    fresh.write(1500)
    fresh.path.rename(scene.log.path)
    scene.caught_up()
    scene.log.write(500)


# ── truncation ──


@case(Settings("s2", "copied and truncated ×5, the copies in the glob"))
def copytruncate(scene: Scene) -> None:
    scene.begin()
    for _ in range(5):
        scene.log.write(2000)
        scene.caught_up()
        scene.log.copytruncate()
        scene.log.write(2000)
        scene.caught_up()


@case(Settings("s2-out", "copied and truncated ×5, the copies outside of the glob", glob="app.log"))
def copytruncate_out(scene: Scene) -> None:
    copytruncate(scene)


@case(Settings("s2-live", "copied and truncated ×5 under a writer of 2,000 lines/s"))
def copytruncate_live(scene: Scene) -> None:
    scene.begin()
    with scene.live(2000):
        for _ in range(5):
            time.sleep(1.0)
            scene.log.copytruncate()
        time.sleep(1.0)


def stopped_copytruncate(scene: Scene) -> None:
    scene.begin()
    scene.stop()
    scene.log.copytruncate()
    scene.log.write(1500)
    scene.start()


case(
    Settings(
        "s4-const", "copied and truncated while stopped, then longer; lines end alike", glob="app.log", varied=False
    )
)(stopped_copytruncate)
case(Settings("s4", "the same, lines end differently", glob="app.log"))(stopped_copytruncate)
case(Settings("s4-in", "the same, the copy in the glob"))(stopped_copytruncate)


@case(Settings("s4-head", "truncated while stopped, then longer with the same first 2 KiB", glob="app.log"))
def same_head(scene: Scene) -> None:
    header = b"# a header that every file of this program begins with"
    scene.log.append(scene.lines.plain(header, 40))
    scene.begin()
    scene.stop()
    with scene.log.path.open("r+b") as file:
        file.truncate()
    scene.log.append(scene.lines.plain(header, 40))
    scene.log.write(1500)
    scene.start()


@case(Settings("s5", "deleted and made anew on the same inode while stopped, then longer", glob="app.log"))
def recreate_stopped(scene: Scene) -> None:
    scene.begin()
    scene.stop()
    inode = scene.log.path.stat().st_ino
    scene.log.path.unlink()
    scene.log.append(b"")
    scene.note = "" if scene.log.path.stat().st_ino == inode else "the disk gave another inode"
    scene.log.write(1500)
    scene.start()


@case(Settings("s9", "truncated under a writer that does not append: a hole of NULs"))
def nul_hole(scene: Scene) -> None:
    with scene.log.path.open("wb", buffering=0) as writer:
        writer.write(scene.lines.many(1000))
        scene.start()
        scene.caught_up()
        os.truncate(scene.log.path, 0)
        writer.write(scene.lines.many(1000))
        scene.caught_up()
        writer.write(scene.lines.many(1000))


@case(Settings("s11", "truncated and written anew to the same size, at once ×5"))
def same_size(scene: Scene) -> None:
    size = 500
    scene.begin(size)
    for _ in range(5):
        with scene.log.path.open("wb", buffering=0) as file:
            file.write(scene.lines.many(size))
        scene.caught_up()


# ── the shipper ends ──


@case(Settings("s6", "killed at random moments under a writer of 5,000 lines/s that rotates", kills=True))
def killed(scene: Scene) -> None:
    scene.log.write(20_000)
    with scene.live(5000, rotate_every=5000):
        scene.start()
        for _ in range(scene.lives):
            time.sleep(scene.random.uniform(0.4, 1.6))
            scene.shipper.kill()
            scene.start()


@case(Settings("s6-out", "the same under 2,000 lines/s, renamed out of the glob every 4 s", glob="app.log", kills=True))
def killed_out_of_glob(scene: Scene) -> None:
    scene.log.write(20_000)
    with scene.live(2000, rotate_every=8000):
        scene.start()
        for _ in range(scene.lives):
            time.sleep(scene.random.uniform(0.8, 1.6))
            scene.shipper.kill()
            scene.start()


@case(Settings("backlog", "told to end in the middle of 300,000 lines, and started again"))
def ended_in_backlog(scene: Scene) -> None:
    scene.log.write(300_000)
    for _ in range(3):
        before = scene.watch.found.count
        scene.start()
        until(lambda before=before: scene.watch.look(0.01) > 0 or scene.watch.found.count > before)  # type: ignore[misc]
        scene.stop()
    scene.start()


@case(Settings("zeroed", "killed, and the file of its positions comes back full of zeros", kills=True))
def zeroed(scene: Scene) -> None:
    scene.begin(2000)
    scene.log.write(2000)
    scene.caught_up()
    scene.shipper.kill()
    scene.shipper.zero_state()
    scene.log.write(1000)
    scene.start()


# ── lines ──


@case(Settings("s7", "stopped in the middle of a line"))
def partial_line(scene: Scene) -> None:
    scene.begin()
    line = scene.lines.one("a line in two halves, and between them the shipper ends")
    scene.log.append(line[:30])
    time.sleep(1.5)
    scene.stop()
    scene.start()
    time.sleep(1.5)
    scene.log.append(line[30:] + b"\n")
    scene.log.write(10)


@case(Settings("halves", "a line in two halves, 2 s apart, ×3"))
def halves(scene: Scene) -> None:
    scene.begin()
    for _ in range(3):
        line = scene.lines.one("a line in two halves, and between them nothing for two seconds")
        scene.log.append(line[:40])
        time.sleep(2.0)
        scene.log.append(line[40:] + b"\n")


@case(Settings("s8", "a line of 2 MB among short ones"))
def long_line(scene: Scene) -> None:
    scene.begin()
    scene.log.append(scene.lines.one("x" * 2_000_000) + b"\n" + scene.lines.many(1000))


@case(Settings("unterminated", "a file that is one line without an end"))
def unterminated(scene: Scene) -> None:
    scene.start()
    scene.log.append(scene.lines.one())


@case(Settings("alike", "5,000 lines that are all the same"))
def alike(scene: Scene) -> None:
    scene.begin()
    for _ in range(5):
        scene.log.append(scene.lines.plain(b"the same line again", 1000))
        scene.caught_up()


@case(Settings("banner", "two files with the same first KiB", glob="*.log"))
def banner(scene: Scene) -> None:
    for name in ("a.log", "b.log"):
        scene.file(name).append(scene.lines.plain(b"# a banner that all programs of this house print", 40))
    scene.start()
    scene.caught_up()
    for _ in range(3):
        for name in ("a.log", "b.log"):
            scene.file(name).write(500)
        scene.caught_up()


# ── compressed ──


def compress(path: Path) -> None:
    with gzip.open(f"{path}.gz", "wb") as file:
        file.write(path.read_bytes())
    path.unlink()


@case(Settings("s10", "rotated and compressed inside the glob, all of it read before"))
def compressed(scene: Scene) -> None:
    scene.begin(2000)
    rotated = scene.log.rotate()
    scene.log.write(1000)
    scene.caught_up()
    compress(rotated)
    scene.log.write(1000)


@case(Settings("s10-half", "rotated and compressed while stopped, half of it read before"))
def compressed_half_read(scene: Scene) -> None:
    scene.begin(2000)
    scene.stop()
    scene.log.write(2000)
    compress(scene.log.rotate())
    scene.log.write(1000)
    scene.start()


# ── around ──


@case(Settings("frozen", "the broker does not answer for 10 s", patience=60.0))
def broker_frozen(scene: Scene) -> None:
    scene.begin()
    with scene.live(1000, rotate_every=5000):
        time.sleep(1.0)
        scene.kafka.suspend()
        time.sleep(10.0)
        scene.kafka.resume()
        time.sleep(1.0)


@case(Settings("broker", "the broker is killed and comes back 10 s later", patience=60.0))
def broker_killed(scene: Scene) -> None:
    scene.begin()
    with scene.live(1000, rotate_every=5000):
        time.sleep(1.0)
        scene.kafka.kill()
        time.sleep(10.0)
        scene.kafka.start()
        time.sleep(1.0)


@case(Settings("mount", "the directory is away for 5 s and comes back", glob="logs/*.log"))
def directory_away(scene: Scene) -> None:
    (scene.directory / "logs").mkdir()
    log = scene.file("logs/app.log")
    log.write(1000)
    scene.start()
    scene.caught_up()
    (scene.directory / "logs").rename(scene.directory / "away")
    time.sleep(5.0)
    (scene.directory / "away").rename(scene.directory / "logs")
    log.write(1000)


@case(Settings("names", "a file with two names in the glob", glob="*.log"))
def two_names(scene: Scene) -> None:
    scene.begin()
    os.link(scene.log.path, scene.directory / "other.log")
    time.sleep(2.0)
    scene.log.write(1000)


@case(Settings("ephemeral", "20 files that live for some milliseconds", glob="*.log"))
def ephemeral(scene: Scene) -> None:
    scene.begin()
    for number in range(20):
        short = scene.file(f"job-{number}.log")
        short.write(50)
        time.sleep(0.005)
        short.path.unlink()
        time.sleep(0.1)


@case(Settings("limit", "500 files with a limit of 64 open ones", glob="*.log", files=64))
def few_descriptors(scene: Scene) -> None:
    logs = [scene.file(f"{number:03d}.log") for number in range(500)]
    for log in logs:
        log.write(10)
    scene.start()
    scene.caught_up()
    for log in logs:
        log.write(10)
