"""The options of the source "file"."""

from __future__ import annotations

from typing import Annotated, Literal

from ingest.api import Duration, Size, SourceOptions, option


class FileOptions(SourceOptions):
    """Options of the source "file"."""

    paths: Annotated[
        list[str],
        option(
            "Absolute globs of the files to read; `**` stands for any number of directories. Files named .gz are "
            "decompressed; match rotated files too, none is read twice.",
            example=["/var/log/app/*.log"],
        ),
    ]
    exclude: Annotated[
        list[str], option("Absolute globs of files not to read.", example=["/var/log/app/debug*.log"])
    ] = []
    follow_symlinks: Annotated[
        bool,
        option("Links to files are followed, such as those in /var/log/containers; links to directories never are."),
    ] = False
    start_at: Annotated[
        Literal["beginning", "end"],
        option("Where files never seen before begin. Files that turn up later are read from their beginning."),
    ] = "beginning"
    close_after: Annotated[
        Duration,
        option(
            "No growth for so long: an unterminated last line is given out, flagged; a gzip file that is not whole is "
            "damaged."
        ),
    ] = Duration(300.0)
    rotated_after: Annotated[
        Duration, option("The same for a file that was renamed or deleted, once it has not grown for so long.")
    ] = Duration(5.0)
    scan_interval: Annotated[
        Duration, option("How often to look for new files; less often where a scan takes long, at least each 10s.")
    ] = Duration(1.0)
    forget_after: Annotated[
        Duration, option("A file gone for so long, and read to its end, is forgotten: would be read anew.")
    ] = Duration(7 * 86400.0)
    max_deleted: Annotated[
        Size | None,
        option(
            "Disk that deleted files may go on holding until they are read; where they hold more, the oldest are given "
            "up, which is said. Left out: as much as there is.",
            example="10GiB",
        ),
    ] = None
    open_files: Annotated[int, option("Files held open at once; fewer where the process's limit says so.", ge=1)] = 512

    def __post_init__(self) -> None:
        """Refuse globs that would depend on the working directory."""
        super().__post_init__()
        if not self.paths:
            raise ValueError("`paths` names no file")
        for pattern in (*self.paths, *self.exclude):
            if not pattern.startswith("/"):
                raise ValueError(f'"{pattern}" is not an absolute path')
