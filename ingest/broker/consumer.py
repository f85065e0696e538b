"""Records from Kafka, in columns, as a member of a consumer group whose positions are its owner's business."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeAlias

from kafka import OffsetAndMetadata, TopicPartition
from kafka import errors as kafka

from ingest.blocks import RecordBlock
from ingest.broker import reference, seams
from ingest.broker.admin import topic_id_text
from ingest.broker.failures import TopicMissing, translate, translated
from ingest.broker.fetch import Fetched, partition_records, read
from ingest.broker.membership import EVERYTHING, FetchOptions, GroupOptions, join, pattern_of
from ingest.broker.problems import PartitionProblem, problem_of
from ingest.broker.rebalance import Desk, Listener, Pair
from ingest.broker.security import Connection
from ingest.errors import IngestError, Unavailable

_STALE_CONTACT = 5.0
_PAUSE = 0.1
_LAST_ANSWER = 0.5
"""Seconds for which closing waits for metadata: some more than a broker may hold back the fetch before it."""

_Found: TypeAlias = Mapping[TopicPartition, list[Any]]


class KafkaBlockConsumer:
    """Reads committed records of the partitions that the group gives it.

    One thread calls all methods; `beginning_offsets`, `end_offsets` and `topic_id` any other one too, until `close`.

    Nothing is fetched from a partition before `seek` was called for it, and no offset stored in Kafka ever decides
    where reading begins: `on_assign` calls `seek` for each partition (or later; until then it stands still).

    A partition with a problem stands still, others go on; `seek` sets it going again.

    Args:
        connection: where Kafka is.
        group: membership.
        fetch: sizes.
        columnar: False = the reference path, True = insist on the columnar one, None = the best that can run.

    Raises:
        Unavailable: no broker answered within `connection.timeout`.
        Refused: user, password or certificate are not accepted.
    """

    def __init__(
        self,
        connection: Connection,
        group: GroupOptions,
        fetch: FetchOptions | None = None,
        *,
        columnar: bool | None = None,
    ) -> None:
        self._connection = connection
        self._columnar = seams.choose_columnar(columnar)
        self._factory = seams.ClientFactory()
        self._consumer = join(connection, group, fetch or FetchOptions(), self._factory)
        self._desk = Desk("kafka-poll", lambda done: seams.resolve(self._consumer, done))
        self._standing: set[Pair] = set()
        self._paused: set[Pair] = set()
        self._errors: list[tuple[Pair, Exception, int | None]] = []
        self._told: dict[Pair, int] = {}
        self._kept: _Found = {}
        self._fenced: Exception | None = None
        self._commit_error: IngestError | None = None
        self._heard = self._asked = time.monotonic()
        self._returned = group.member is not None and group.returning
        seams.tell_when_fenced(self._consumer, self._note_fenced)
        seams.finish_joins(self._consumer)
        if self._columnar:
            seams.read_with(self._consumer, partition_records(), self._note_error)

    # ── reading ──

    def subscribe(
        self,
        topics: Sequence[str],
        patterns: Sequence[str],
        on_assign: Callable[[list[Pair]], None],
        on_revoke: Callable[[list[Pair]], None],
        on_lost: Callable[[list[Pair]], None],
    ) -> None:
        """Join the group at the next poll.

        The callbacks run inside `poll`, on its thread, with sorted (topic, partition) pairs, and may call every method
        but `poll` and `close`. What they raise comes out of that poll.

        Args:
            topics: by name; they need not exist yet.
            patterns: regular expressions that match from the beginning of a topic's name, as Python's `re.match`.
            on_assign: partitions that are new here (also those that come back after `on_revoke`).
            on_revoke: partitions that go to others, who wait until it returns.
            on_lost: partitions that others have already, because this worker was silent for too long.
        """
        listener = Listener(self._desk, lambda pairs: self._assigned(pairs, on_assign), on_revoke, on_lost)
        pattern = pattern_of(topics, patterns)
        with translated(f"subscribing at {self._connection}"):
            if pattern is None:
                self._consumer.subscribe(topics=list(topics), listener=listener)
            else:
                self._consumer.subscribe(pattern=pattern, listener=listener)
        # A leader that does not know the topics yet would share out nothing, and the group would join once more. Where
        # nobody answers, that is what happens.
        with contextlib.suppress(Unavailable):
            self._refreshed(f"asking {self._connection} for the topics")

    def poll(
        self, timeout: float, meanwhile: Callable[[], None] | None = None
    ) -> tuple[list[RecordBlock], list[PartitionProblem]]:
        """Return what came, waiting up to about `timeout` seconds for something; while Kafka is gone, nothing.

        Blocks are in order within a partition. One without rows says that only control or aborted records came. A
        problem is told once; what came before it is in the blocks.

        Args:
            timeout: seconds.
            meanwhile: called once, on the thread that polls, while another one fetches and decodes; before any callback
                of the group. It may not call a method of this object.

        Raises:
            ConsumerFenced: another process took this one's place.
            Refused: no permission for the group.
            Exception: what a callback or `meanwhile` raised.
        """
        if not self._kept:
            milliseconds = int(timeout * 1000)
            polled, failure = self._desk.run(lambda: self._next(milliseconds), meanwhile)
            self._kept = self._outcome(polled, timeout)
            self._join_again_after_return()
            if failure is not None:
                raise failure
        elif meanwhile is not None:
            meanwhile()
        if self._fenced is not None:
            raise translate(self._fenced, f"reading from {self._connection}")
        found, self._kept = self._kept, {}
        blocks = self._fetched(found) if self._columnar else self._records(found)
        return blocks, self._problems()

    def seek(self, topic: str, partition: int, offset: int, leader_epoch: int = -1) -> None:
        """Read on from `offset`, and set a partition going that stood still.

        Args:
            topic: of an assigned partition; for others nothing happens.
            partition: of an assigned partition.
            offset: next one to read.
            leader_epoch: of the batch before `offset`, so that a log which was cut below it since is noticed;
                -1 = unknown.
        """
        target = TopicPartition(topic, partition)
        if target not in self._consumer.assignment():
            return
        seams.seek(self._consumer, target, offset, leader_epoch)
        self._told[topic, partition] = offset
        self._standing.discard((topic, partition))
        if (topic, partition) not in self._paused:
            self._consumer.resume(target)

    def pause(self, partitions: Iterable[Pair]) -> None:
        """Fetch nothing more of these until `resume`; what was fetched and not returned yet comes after it."""
        chosen = set(partitions)
        self._paused |= chosen
        self._consumer.pause(*self._assigned_of(chosen))

    def resume(self, partitions: Iterable[Pair]) -> None:
        """Undo `pause`; a partition that stands still for want of `seek` goes on standing."""
        chosen = set(partitions)
        self._paused -= chosen
        self._consumer.resume(*self._assigned_of(chosen - self._standing))

    def settled(self) -> bool:
        """Return whether the group has given this member what it is going to give, be it nothing."""
        return not self._returned and seams.joined(self._consumer)

    def paused(self) -> set[Pair]:
        """Return the assigned partitions that `pause` holds."""
        return {(t.topic, t.partition) for t in self._consumer.assignment()} & self._paused

    def assignment(self) -> set[Pair]:
        """Return the partitions that the group gave us."""
        return {(t.topic, t.partition) for t in self._consumer.assignment()}

    # ── asking ──

    def beginning_offsets(self, partitions: Iterable[Pair]) -> dict[Pair, int]:
        """Return the first offset that each partition still holds; raises Unavailable, Refused."""
        return self._bounds(partitions, self._consumer.beginning_offsets)

    def end_offsets(self, partitions: Iterable[Pair]) -> dict[Pair, int]:
        """Return the offset after the last that a reader of committed records may see; raises Unavailable, Refused."""
        return self._bounds(partitions, self._consumer.end_offsets)

    def topic_id(self, topic: str, max_age: float = 1.0) -> str:
        """Return a topic's id, 32 hex digits, "" where brokers have none (before 2.8).

        Args:
            topic: one that is subscribed to.
            max_age: seconds for which an answer may be used again.

        Raises:
            TopicMissing: there is no such topic (any more).
            Unavailable: no broker answers.
        """
        cluster = self._factory.client.cluster
        if self._factory.metadata_age() > max_age or cluster.partitions_for_topic(topic) is None:
            cluster = self._refreshed(f"asking for the id of topic {topic} at {self._connection}")
        if cluster.partitions_for_topic(topic) is None:
            raise TopicMissing(topic)
        return topic_id_text(cluster.topic_id(topic))

    def cluster_id(self) -> str:
        """Return the cluster's id; raises Unavailable."""
        cluster = self._factory.client.cluster
        if cluster.cluster_id is None:
            cluster = self._refreshed(f"asking {self._connection} for the cluster's id")
        return str(cluster.cluster_id)

    def contact_age(self) -> float:
        """Return seconds since a broker was last heard; never blocks.

        Asks for news in the background when that is long ago: call it every few seconds to know whether Kafka is there.
        """
        now = time.monotonic()
        self._heard = max(self._heard, self._factory.last_contact() or 0.0)
        if now - max(self._heard, self._asked) > _STALE_CONTACT:
            self._asked = now
            self._factory.ask_for_news()
        return now - self._heard

    # ── telling ──

    def commit(self, offsets: Mapping[Pair, int], wait: float = 0.0) -> None:
        """Tell the group how far we are: for people and lag monitors, never for ourselves. Does not raise.

        Args:
            offsets: (topic, partition) → first offset not yet committed.
            wait: seconds to wait for the answer; 0 = don't, it shows in `commit_error` after a later poll.
        """
        told = {TopicPartition(*pair): OffsetAndMetadata(offset, "", -1) for pair, offset in offsets.items()}
        if not told:
            return
        try:
            if wait:
                self._consumer.commit(told, timeout_ms=int(wait * 1000))
                self._commit_error = None
            else:
                self._consumer.commit_async(told, callback=self._note_commit)
        except kafka.KafkaError as error:
            self._note_commit(told, error)

    @property
    def commit_error(self) -> IngestError | None:
        """Return why the last group commit that was answered failed, or None."""
        return self._commit_error

    def close(self, timeout: float = 5.0) -> None:
        """Leave, without callbacks: the owner has committed or dropped what it had in hand.

        A static member does not leave the group: it may be back before its session times out.
        """
        self._desk.close()
        self._factory.end_refreshing(min(timeout, _LAST_ANSWER))
        milliseconds = int(timeout * 1000)
        try:
            with translated(f"closing the connection to {self._connection}"):
                closed, _ = self._desk.run(lambda: self._consumer.close(autocommit=False, timeout_ms=milliseconds))
                closed.result()
        finally:
            self._desk.end()

    # ── inside ──

    def _next(self, milliseconds: int) -> _Found:
        """Poll; what came is decoded while the broker works on the next fetch."""
        found: _Found = self._consumer.poll(milliseconds, max_records=EVERYTHING)
        if not self._columnar or not found:
            return found
        seams.fetch_ahead(self._consumer)
        return {target: [read(answer) for answer in answers] for target, answers in found.items()}

    def _join_again_after_return(self) -> None:
        """Have the group's partitions shared out again, once, after a static member came back.

        The broker gives it the assignment it had before, made when topics and partitions may have been fewer; and
        if it was the leader, nobody else looks whether there are more.
        """
        if self._returned and seams.joined(self._consumer):
            self._returned = False
            seams.join_again(self._consumer)

    def _outcome(self, polled: Future[_Found], timeout: float) -> _Found:
        """Return what kafka-python's poll returned; errors of single partitions are put aside for `_problems`."""
        try:
            return polled.result()
        except kafka.LogTruncationError as error:
            self._errors += [((target.topic, target.partition), error, None) for target in error.divergent_offsets]
        except kafka.OffsetOutOfRangeError as error:
            self._errors += [((target.topic, target.partition), error, None) for target in error.args[0]]
        except kafka.RetriableError:
            time.sleep(min(timeout, _PAUSE))  # so that a caller's loop does not turn fast while Kafka is gone
        except kafka.KafkaError as error:
            raise translate(error, f"reading from {self._connection}") from error
        return {}

    def _assigned(self, pairs: list[Pair], on_assign: Callable[[list[Pair]], None]) -> None:
        """Hold the partitions until they are placed, then let the owner place them."""
        self._standing = (self._standing & self.assignment()) | set(pairs)
        self._paused &= self.assignment()
        for topic, partition in pairs:
            target = TopicPartition(topic, partition)
            self._consumer.pause(target)
            self._consumer.seek(target, 0)
        if pairs:
            on_assign(pairs)

    def _assigned_of(self, pairs: Iterable[Pair]) -> list[TopicPartition]:
        return [TopicPartition(*pair) for pair in set(pairs) & self.assignment()]

    def _fetched(self, found: Mapping[TopicPartition, list[Fetched]]) -> list[RecordBlock]:
        blocks = []
        for target, parts in found.items():
            for part in parts:
                blocks += part.blocks
                if part.error is not None:
                    self._errors.append(((target.topic, target.partition), part.error, part.next_offset))
        return blocks

    def _records(self, found: _Found) -> list[RecordBlock]:
        blocks = []
        for pair in sorted(self.assignment() - self._standing):
            target = TopicPartition(*pair)
            next_offset = seams.position(self._consumer, target)
            records = found.get(target, [])
            if next_offset is not None and (records or next_offset != self._told.get(pair)):
                begin = self._told.get(pair, next_offset)
                self._told[pair] = next_offset
                blocks.append(reference.block_of(*pair, records, begin, next_offset))
        return blocks

    def _problems(self) -> list[PartitionProblem]:
        errors, self._errors = self._errors, []
        told = []
        for pair, error, reached in errors:
            if pair in self._standing or pair not in self.assignment():
                continue
            self._standing.add(pair)
            target = TopicPartition(*pair)
            self._consumer.pause(target)
            position = seams.position(self._consumer, target) if reached is None else reached
            told.append(problem_of(pair, error, position, self._log_of))
        return told

    def _log_of(self, pair: Pair) -> tuple[int, int]:
        return self.beginning_offsets([pair])[pair], self.end_offsets([pair])[pair]

    def _bounds(self, partitions: Iterable[Pair], ask: Callable[..., dict[TopicPartition, int]]) -> dict[Pair, int]:
        targets = [TopicPartition(*pair) for pair in partitions]
        with translated(f"asking for the offsets of {len(targets)} partitions at {self._connection}"):
            found = ask(targets, timeout_ms=int(self._connection.timeout * 1000)) if targets else {}
        return {(target.topic, target.partition): offset for target, offset in found.items()}

    def _refreshed(self, where: str) -> Any:
        with translated(where):
            return self._factory.refresh_metadata(self._connection.timeout)

    def _note_error(self, target: TopicPartition, error: Exception) -> None:
        if not isinstance(error, kafka.RetriableError):
            self._errors.append(((target.topic, target.partition), error, None))

    def _note_fenced(self, error: Exception) -> None:
        self._fenced = error

    def _note_commit(self, _offsets: object, answer: object) -> None:
        failed = isinstance(answer, Exception)
        where = f"committing offsets of the group at {self._connection}"
        self._commit_error = translate(answer, where) if failed else None  # type: ignore[arg-type]
