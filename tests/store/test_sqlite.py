"""What only the SQLite keeper promises: locks, crashes, full disks, and the private hop."""

from __future__ import annotations

import asyncio
import errno
import inspect
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import aiosqlite
import pytest

from distributor.domain.journal import Batch
from distributor.domain.messages import Settlement
from distributor.errors import BadConfig, Damaged, StoreFailed
from distributor.store import sqlite as sqlite_module
from distributor.store.sqlite import SQLiteStore

from . import builders as b
from .conftest import fixed_entropy

ROOT = Path(__file__).parents[2]


async def test_open_makes_the_folders_and_an_identity_once(open_store):
    store = await open_store()
    assert store.path.exists()
    assert (store.tag, store.epoch, store.next_outbox_id) == ("ABCD", 1, 1)
    assert 0 <= store.seed < 1 << 63
    await store.close()
    again = await SQLiteStore.open(store.path, entropy=lambda count: b"\xff" * count)
    await again.close()
    assert (again.tag, again.seed, again.epoch) == (store.tag, store.seed, 2)


async def test_a_store_that_lost_its_identity_is_refused(open_store):
    """With a new one, lead keys would be given out again."""
    store = await open_store()
    await store.append(Batch([b.tick(1)]), expect=0, epoch=1)
    await store.close()
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("DELETE FROM meta")
        connection.commit()
    for _ in range(2):  # the lock is given back
        with pytest.raises(Damaged, match=r"row of meta .* missing: restore the store"):
            await open_store()


async def test_outbox_numbers_go_on_behind_the_highest(open_store):
    store = await open_store()
    await store.append(Batch([b.tick(1)], outgoing=[b.message(41)]), expect=0, epoch=1)
    await store.close()
    assert (await open_store()).next_outbox_id == 42


async def test_a_second_owner_in_this_process_is_refused_with_the_remedy(store):
    with pytest.raises(StoreFailed, match=r"another process uses this store .* stop it first"):
        await SQLiteStore.open(store.path, entropy=fixed_entropy)


async def test_a_second_process_is_refused(store):
    done = subprocess.run(
        [sys.executable, "-c", OPEN_ONLY, str(store.path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "another process uses this store" in done.stderr
    assert done.returncode == 1


async def test_close_gives_the_store_free_and_may_be_called_twice(open_store):
    store = await open_store()
    await store.close()
    await store.close()
    with pytest.raises(StoreFailed, match="closed"):
        await store.append(Batch(), expect=0, epoch=1)
    assert (await open_store()).epoch == 2


async def test_a_file_that_is_no_store_is_refused_and_the_lock_given_back(tmp_path):
    path = tmp_path / "x.db"
    path.write_bytes(b"no database " * 1_000)
    for _ in range(2):
        with pytest.raises(StoreFailed, match="no store of ours"):
            await SQLiteStore.open(path, entropy=fixed_entropy)


async def test_an_empty_file_is_refused_and_not_taken_for_a_new_store(tmp_path):
    path = tmp_path / "x.db"
    path.touch()
    for _ in range(2):
        with pytest.raises(
            StoreFailed, match=r"x\.db: the file is empty.*backup, or remove it to begin"
        ):
            await SQLiteStore.open(path, entropy=fixed_entropy)
    assert path.stat().st_size == 0


async def test_a_store_knows_whether_it_is_new(open_store):
    store = await open_store()
    assert store.is_new
    await store.close()
    assert not (await open_store()).is_new


def removed(path):
    path.unlink()


def replaced(path):
    other = path.with_name("other.db")
    copy_store(path, other)
    other.replace(path)


def copy_store(path, other):
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(other)) as copy:
        source.backup(copy)


def moved_with_its_folder(path):
    path.parent.rename(path.parent.with_name("elsewhere"))


def without_its_wal(path):
    path.with_name(f"{path.name}-wal").unlink()


async def backup_and_go_on(store):
    """A backup of 50 leads. Behind it more are checkpointed, and the last ones are in the -wal alone."""
    await store.append(b.leads_in(1, 50), expect=0, epoch=1)
    backup = store.path.with_name("backup.db")
    copy_store(store.path, backup)
    await store.append(b.leads_in(51, 2000), expect=50, epoch=1)
    await pragma(store, "wal_checkpoint(RESTART)")
    await store.append(b.leads_in(2051, 50), expect=2050, epoch=1)
    return backup


@pytest.mark.parametrize("put", [os.replace, shutil.copyfile])
async def test_what_was_put_in_the_place_of_a_store_is_not_mixed_with_its_wal(open_store, put):
    """A supervisor starts the daemon again at once: it must find the backup as it is."""
    store = await open_store()
    backup = await backup_and_go_on(store)
    store.look()
    put(backup, store.path)
    with pytest.raises(StoreFailed, match=r"its -wal is kept as store\.db-wal\.replaced"):
        store.look()
    await store.close()

    again = await open_store()

    assert again.last_seq == 50
    assert [len(chunk) async for chunk in again.read(0)] == [50]
    assert store.path.with_name("store.db-wal.replaced").stat().st_size


@pytest.mark.parametrize(
    ("happens", "said"),
    [(removed, "db is gone"), (replaced, "db was replaced"),
     (moved_with_its_folder, "db is gone"), (without_its_wal, "db-wal is gone")],
)  # fmt: skip
async def test_a_store_whose_file_is_taken_away_takes_nothing_more(store, happens, said):
    await store.append(Batch([b.tick(1)]), expect=0, epoch=1)
    store.look()
    happens(store.path)
    with pytest.raises(StoreFailed, match=rf"^store\.path: .*{said}.* while .* then start again"):
        store.look()
    with pytest.raises(StoreFailed, match="stop the daemon before you touch"):
        await store.append(Batch([b.tick(2)]), expect=1, epoch=1)
    assert store.last_seq == 1


async def test_a_backup_among_the_old_wal_is_refused_with_what_to_remove(open_store):
    """What was written after the last checkpoint is of another file than the one that lies there."""
    store = await open_store()
    backup = await backup_and_go_on(store)
    wal = store.path.with_name(f"{store.path.name}-wal")
    left = wal.read_bytes()
    await store.close()
    shutil.copy(backup, store.path)
    wal.write_bytes(left)

    with pytest.raises(Damaged, match=r"backup, its old -wal and -shm files removed first"):
        async for _ in (await open_store()).read(0):
            pass


def test_the_thread_of_a_file_that_is_no_store_is_waited_for(tmp_path, monkeypatch):
    """A thread that reports to a closed loop puts a traceback beside the one line of the error."""

    class Slow:
        """The thread is slow at each thing that it is told to do."""

        def debug(self, text, *_):
            if text.startswith("executing"):
                time.sleep(0.05)

    monkeypatch.setattr(aiosqlite.core, "LOG", Slow())
    path = tmp_path / "x.db"
    path.write_bytes(b"no database " * 1_000)
    before = set(threading.enumerate())
    raised = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    with pytest.raises(StoreFailed, match="no store of ours"):
        asyncio.run(SQLiteStore.open(path, entropy=fixed_entropy))
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
    assert raised == []


async def test_a_folder_that_cannot_be_made_is_a_mistake_of_the_settings(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadConfig, match=r"^store\.path: .*file/x\.db: .*; set it to a place"):
        await SQLiteStore.open(tmp_path / "file" / "x.db", entropy=fixed_entropy)


async def test_a_disk_that_fails_is_not(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(sqlite_module, "lock_store", full)
    with pytest.raises(StoreFailed, match="no space left"):
        await SQLiteStore.open(tmp_path / "x.db", entropy=fixed_entropy)


@pytest.mark.parametrize(("synchronous", "level"), [("full", 2), ("normal", 1)])
async def test_the_chosen_durability_is_in_force(tmp_path, synchronous, level):
    store = await SQLiteStore.open(tmp_path / "s.db", synchronous, entropy=fixed_entropy)
    try:
        assert await pragma(store, "synchronous") == level
        assert await pragma(store, "journal_mode") == "wal"
    finally:
        await store.close()


async def pragma(store: SQLiteStore, text: str) -> object:
    def ask(connection: sqlite3.Connection) -> object:
        return connection.execute(f"PRAGMA {text}").fetchone()[0]

    return await store._writer.run(ask)


async def test_a_full_disk_fails_the_append_and_keeps_nothing_of_it(store):
    """The process ends on this error; what is on disk must be the last good commit."""
    await store.append(b.leads_in(1, 1), expect=0, epoch=1)
    pages = await pragma(store, "page_count")
    await pragma(store, f"max_page_count = {pages}")
    with pytest.raises(StoreFailed, match="full: free space"):
        await store.append(b.leads_in(2, 500), expect=1, epoch=1)
    assert store.last_seq == 1
    await pragma(store, "max_page_count = 1000000")
    assert [[e.seq for e in chunk] async for chunk in store.read(0)] == [[1]]
    await store.append(b.leads_in(2, 500), expect=1, epoch=1)
    assert store.last_seq == 501


async def test_the_same_vendor_id_under_two_keys_is_refused(store):
    """The last fence against a lead that is distributed twice."""
    twin = b.waiting(2)
    twin.vendor_id = "v1"
    with pytest.raises(StoreFailed, match="defect"):
        await store.append(Batch([b.tick(1)], [b.waiting(1), twin]), expect=0, epoch=1)
    assert store.last_seq == 0


async def test_everything_reported_as_appended_survives_kill_9(tmp_path):
    path = tmp_path / "crash.db"
    child = subprocess.Popen(
        [sys.executable, "-c", APPEND_FOREVER, str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    for line in child.stdout:  # Ends the child in the middle of whatever comes after.
        if int(line) >= 200:
            child.send_signal(signal.SIGKILL)
            break
    reported = max([int(line), *map(int, child.stdout.read().split("\n")[:-1])])
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    store = await SQLiteStore.open(path, "normal", entropy=fixed_entropy)
    try:
        assert store.last_seq >= reported >= 200
        seqs = [entry.seq async for chunk in store.read(0) for entry in chunk]
        assert seqs == list(range(1, store.last_seq + 1))
        found = await store.lookup([("acme", f"v{seq}") for seq in seqs], [], [])
        assert len(found.originals) == len(seqs), "the tables must agree with the journal"
    finally:
        await store.close()


def test_aiosqlite_still_has_the_hop_that_we_use():
    """A release without it works too, by a slower way: then look at ``connection.Hop``."""
    parameters = list(inspect.signature(aiosqlite.Connection._execute).parameters)
    assert parameters == ["self", "fn", "args", "kwargs"]


async def test_without_the_private_hop_the_store_works_too(open_store, monkeypatch):
    store = await open_store()
    monkeypatch.setattr(store._writer._connection, "_execute", None)
    await store.append(b.leads_in(1, 3), expect=0, epoch=1)
    assert len((await store.lookup([("acme", "v1")], [], [])).originals) == 1
    monkeypatch.undo()
    assert store.last_seq == 3


OPEN_ONLY = """
import asyncio, sys
from distributor.errors import Damaged, StoreFailed
from distributor.store.sqlite import SQLiteStore

async def main():
    try:
        await SQLiteStore.open(sys.argv[1], entropy=lambda count: bytes(count))
    except StoreFailed as error:
        sys.exit(str(error))

asyncio.run(main())
"""

APPEND_FOREVER = """
import asyncio, sys
from distributor.store.sqlite import SQLiteStore
from tests.store import builders as b

async def main():
    store = await SQLiteStore.open(sys.argv[1], "normal", entropy=lambda count: bytes(count))
    while True:
        await store.append(b.leads_in(store.last_seq + 1, 3), expect=store.last_seq, epoch=1)
        print(store.last_seq, flush=True)

asyncio.run(main())
"""


async def test_what_is_set_aside_is_counted_by_target(store):
    out = [b.message(1), b.message(2), b.message(3, "vici"), b.message(4, "vici")]
    await store.append(Batch([b.tick(1)], outgoing=out), expect=0, epoch=1)
    settled = [Settlement(2, "dead"), Settlement(3, "in_doubt"), Settlement(4, "in_doubt")]
    await store.append(Batch(settlements=settled), expect=1, epoch=1)
    assert await store.set_aside() == [("mqtt", "dead", 1), ("vici", "in_doubt", 2)]
