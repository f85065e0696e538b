"""A range that is closed: what was open for it is on its way into files, and these into a commit."""

from __future__ import annotations

from dataclasses import replace

from ingest.commit.committer import CommitDraft, StagedFile
from ingest.sink.open_files import FinishedFile, OpenFiles
from ingest.sink.spool import local_files, remove


class SealedRange:
    """Finishing its files takes long, so whoever commits it does that, on a thread that may wait.

    Args:
        files: the range's, which belong to this object from now on; others may look how much they hold.
        draft: of its commit, without the files.
    """

    def __init__(self, files: OpenFiles, draft: CommitDraft) -> None:
        self.files = files
        self._draft = draft
        self._finished = False

    def finish(self) -> CommitDraft:
        """Close all files and return the draft, the same one every time.

        Raises:
            SpoolFailed: the local disk is full or broken; only `discard` may be called then.
        """
        if not self._finished:
            self._draft = replace(self._draft, files=[_staged(file) for file in self.files.finish()])
            self._finished = True
        return self._draft

    def discard(self) -> None:
        """Delete the local files, those that no commit has used up; the rows are committed, or will be read again.

        Raises:
            SpoolFailed: one could not be deleted.
        """
        if self._finished:
            remove(local_files(self._draft))
        else:
            self.files.abandon()


def _staged(file: FinishedFile) -> StagedFile:
    encoded = file.encoded
    return StagedFile(
        local=encoded.path,
        kind=file.kind,
        partition_path=file.partition_path,
        rows=encoded.rows,
        bytes=encoded.bytes,
        crc32c=encoded.crc32c,
        first_offset=encoded.first_offset,
        last_offset=encoded.last_offset,
        min_time=encoded.min_time,
        max_time=encoded.max_time,
    )
