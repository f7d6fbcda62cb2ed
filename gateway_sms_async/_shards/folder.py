"""The folder of a campaign in shards: a journal for each shard, and a manifest.

```
spring.db/campaign.json        how many shards and recipients there are
spring.db/0001.db              an ordinary journal, of the first shard
spring.db/0001.places          where its recipients are in the source, four bytes each
```

A folder under its final name holds the whole source: it gets that name at once, when all is written.
Every method blocks.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from .._journal.connection import discard, explained, foreign_file
from .._journal.lock import JournalLock
from .._journal.place import FilePlace
from .._journal.store import check_new
from ..errors import JournalCorruptError, JournalError, JournalLockedError
from .shared import Shared
from .spool import SPREAD_OVER, Spool, open_private, read_places

__all__ = ["Manifest", "ShardFolder", "is_sharded"]

FORMAT = 1
"""Increase this number whenever the format, or the shard of a number, changes."""


_MANIFEST = "campaign.json"


class Manifest(Struct, frozen=True, kw_only=True):
    """How many recipients the source has, and the checksums of the places of each shard.

    `campaign` is the id that the settings in each journal have, too.
    """

    format: int = FORMAT
    campaign: str
    total: int
    places: list[int]


_decode = msgspec.json.Decoder(Manifest).decode


def is_sharded(path: str | PathLike[str]) -> bool:
    """Whether a journal is a folder, of a campaign in shards."""
    return Path(path).is_dir()


class ShardFolder:
    """The folder of one campaign. It is locked, unless it was opened only to be read."""

    is_shared: bool = False
    claims_all: bool = True

    def __init__(self, path: Path, manifest: Manifest | None, lock: JournalLock | None) -> None:
        self.path = path
        self._manifest = manifest
        self._lock = lock
        self._closed = False
        self.campaign: str = secrets.token_hex(8) if manifest is None else manifest.campaign
        self._partial = path.with_name(path.name + ".partial")

    @classmethod
    def create(cls, path: str | PathLike[str]) -> Self:
        """Reserve the name of a new folder, which `publish` gives it."""
        path = FilePlace(path).path
        check_new(path)
        with explained(path):
            lock = JournalLock(path)
            try:
                # Another process may have ended its campaign between the two lines above.
                check_new(path)
                return cls(path, None, lock)
            except BaseException:
                lock.release()
                raise

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Self:
        """Open a folder and lock it; raises JournalLockedError while another process uses it."""
        path = FilePlace(path).path
        with explained(path):
            # Without a lock, it can still be read, and that is all a finished campaign needs.
            lock = JournalLock.where_possible(path)
            try:
                return cls(path, _read_manifest(path), lock)
            except BaseException:
                if lock is not None:
                    lock.release()
                raise

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self:
        """Open a folder to read it, also while another process uses it."""
        path = FilePlace(path).path
        with explained(path):
            return cls(path, _read_manifest(path), None)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def manifest(self) -> Manifest:
        """What the shards have in common."""
        assert self._manifest is not None, "the folder is not published"
        return self._manifest

    @property
    def handle(self) -> Path:
        """The path of the folder."""
        return self.path

    @property
    def total(self) -> int:
        """How many recipients the source has."""
        return self.manifest.total

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return len(self.manifest.places)

    @property
    def is_published(self) -> bool:
        """Whether the folder has its name."""
        return self._manifest is not None

    @property
    def is_in_use(self) -> bool:
        """Whether another process has locked the folder."""
        try:
            with explained(self.path):
                JournalLock(self.path).release()
        except JournalLockedError:
            return True
        except JournalError:
            return False  # no lock can be created, so nobody has one
        return False

    def begin(self, shards: int) -> list[Spool]:
        """Make the folder under its first name, without what a killed process has left there.

        Returns a file for the recipients of each shard.
        """
        with explained(self.path):
            discard(self._partial)
            self._partial.mkdir(mode=0o700)
        return [
            Spool(
                self._partial / f"{_name_of(shard)}.spool",
                self._partial / f"{_name_of(shard)}.places",
                self.check_lock,
            )
            for shard in range(shards)
        ]

    def journal(self, shard: int) -> FilePlace:
        """Return the place of the journal of a shard."""
        folder = self._partial if self._manifest is None else self.path
        return FilePlace(folder / f"{_name_of(shard)}.db")

    def places(self, shard: int) -> Sequence[int]:
        """Return the positions in the source of the recipients of a shard."""
        path = self.path / f"{_name_of(shard)}.places"
        with explained(path):
            try:
                return read_places(path, self.manifest.places[shard])
            except ValueError as error:
                raise JournalCorruptError(f"{path}: the journal is damaged: {error}") from None

    def publish(self, total: int, spools: Sequence[Spool], *, limited: bool) -> None:  # noqa: ARG002
        """Make all durable, and give the folder its name: from now on a resume needs only this."""
        manifest = Manifest(
            campaign=self.campaign,
            total=total,
            places=[one.places_checksum for one in spools],
        )
        with explained(self.path):
            with open_private(self._partial / _MANIFEST, "wb") as written:
                written.write(msgspec.json.encode(manifest))
            for file in self._partial.iterdir():
                _sync(file)
            _sync(self._partial)
            self.check_lock()
            check_new(self.path)
            self._partial.rename(self.path)
            self._manifest = manifest
            # A folder that cannot be listed cannot be synced.
            with suppress(OSError):
                _sync(self.path.parent)

    def exchange(self, news: Shared) -> Shared:
        """Return the news: only one process runs shards of a folder."""
        return news

    def remove(self) -> None:
        """Delete the folder with all journals in it."""
        with explained(self.path):
            self.check_lock()
            if self.path.is_symlink():
                raise JournalError(
                    f"{self.path}: this is a symbolic link, and only the link would be deleted; "
                    f"purge the journal itself: {os.path.realpath(self.path)}"
                )
            if (foreign := foreign_file(self.path)) is not None:
                raise JournalError(
                    f"{foreign}: this file is not of the campaign, and would be deleted with it; move "
                    "it first"
                )
            as_who = os.access in os.supports_effective_ids
            if not os.access(self.path, os.W_OK | os.X_OK, effective_ids=as_who):
                raise JournalError(f"{self.path}: its files cannot be deleted: no permission")
            # First by its name: what is left of it after a crash here is no campaign.
            discard(self._partial)
            self.path.rename(self._partial)
            discard(self._partial)

    def close(self) -> None:
        """Release the folder; one that was not published is deleted. May be repeated."""
        lock, self._lock, self._closed = self._lock, None, True
        if lock is None:
            return
        try:
            if self._manifest is None and lock.is_held:
                with suppress(OSError, JournalError):
                    discard(self._partial)
        finally:
            lock.release()

    def check_lock(self) -> None:
        """Raise JournalError if another process may use the folder, or it was closed."""
        if self._lock is None and not self._closed:
            raise JournalError(
                f"{self.path}: no file can be created in the folder that has it, so the journal can only "
                "be read"
            )
        if self._lock is None or not self._lock.is_held:
            raise JournalError(
                f"{self.path}: the lock file of this campaign was deleted or replaced, so another "
                "process may use its journals"
            )


def _name_of(shard: int) -> str:
    return f"{shard + 1:04}"


def _read_manifest(path: Path) -> Manifest:
    try:
        manifest = _decode((path / _MANIFEST).read_bytes())
    except FileNotFoundError:
        raise JournalError(
            f"{path}: there is no journal here: it is a folder, and there is no {_MANIFEST} in it"
        ) from None
    except msgspec.MsgspecError:
        raise JournalCorruptError(
            f"{path / _MANIFEST}: the journal is damaged; do not send its list again before you have "
            "looked at the messages of the account"
        ) from None
    if manifest.format > FORMAT:
        raise JournalError(
            f"{path}: written by a newer version of gateway_sms_async (format {manifest.format}, "
            f"this one knows {FORMAT}); resume it with that one"
        )
    if not 1 <= len(manifest.places) <= SPREAD_OVER:
        raise JournalCorruptError(f"{path / _MANIFEST}: the journal is damaged: no shards")
    if manifest.total < 0:
        raise JournalCorruptError(f"{path / _MANIFEST}: the journal is damaged: its total")
    missing = [n for n in range(len(manifest.places)) if not (path / f"{_name_of(n)}.db").exists()]
    if missing:
        raise JournalCorruptError(
            f"{path}: the journal is damaged: {_name_of(missing[0])}.db is missing"
        )
    return manifest


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        # Not every system can sync a folder.
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
