from __future__ import annotations

import hashlib
import sqlite3

import pytest
from msgspec.structs import replace

from distributor.errors import StoreFailed
from distributor.store.projection import lead_row
from distributor.store.reader import StoreReader
from distributor.store.schema import APPLICATION_ID, MIGRATIONS, migrate, version
from distributor.store.sqlite import SQLiteStore

from . import builders as b
from .conftest import fixed_entropy


def connect(path: object = ":memory:") -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)  # type: ignore[arg-type]


@pytest.fixture
def connection():
    connection = connect()
    yield connection
    connection.close()


def tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}


FROZEN = {1: "1b3ef68af26c89eb", 2: "1713c92f04b9c99f"}


def test_migrations_that_were_released_never_change():
    """Files in the field have run them. A new wish is a new migration, and a new line here."""
    digests = {
        number: hashlib.sha256("\n".join(statements).encode()).hexdigest()[:16]
        for number, statements in enumerate(MIGRATIONS, 1)
    }
    assert digests == FROZEN


def test_an_empty_file_gets_every_table(connection):
    migrate(connection)
    assert version(connection) == len(MIGRATIONS)
    assert {"meta", "journal", "leads", "events", "outbox", "snapshots"} <= tables(connection)


def test_migrating_again_changes_nothing(connection):
    migrate(connection)
    before = list(connection.execute("SELECT * FROM sqlite_master"))
    migrate(connection)
    assert list(connection.execute("SELECT * FROM sqlite_master")) == before


async def test_a_store_of_version_1_is_opened_with_what_it_holds(tmp_path):
    path = tmp_path / "old.db"
    old = connect(path)
    for statement in MIGRATIONS[0]:
        old.execute(statement)
    old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    old.execute("PRAGMA user_version = 1")
    old.execute("INSERT INTO meta VALUES (1, 'OLD1', 7, 3)")
    old.executemany(
        f"INSERT INTO leads VALUES ({','.join('?' * 19)})",
        [lead_row(b.waiting(1)), lead_row(b.closed(2))],
    )
    held = old.execute("SELECT * FROM leads").fetchall()
    old.close()
    store = await SQLiteStore.open(path, entropy=fixed_entropy)
    await store.close()
    assert (store.tag, store.seed, store.epoch) == ("OLD1", 7, 4)
    new = connect(path)
    assert version(new) == len(MIGRATIONS)
    assert new.execute("SELECT * FROM leads").fetchall() == held
    new.close()


def test_a_closed_lead_with_its_record_takes_no_page_of_its_own(tmp_path):
    """Whoever has millions of them pays for each on the disk and in every search."""
    store = connect(tmp_path / "s.db")
    migrate(store)
    lead = replace(b.closed(1), body=b"x" * 600)
    rows = [lead_row(replace(lead, key=b.key(n), vendor_id=f"v{n}")) for n in range(1, 301)]
    before = store.execute("PRAGMA page_count").fetchone()[0]
    store.executemany(f"INSERT INTO leads VALUES ({','.join('?' * 19)})", rows)
    assert store.execute("PRAGMA page_count").fetchone()[0] - before < len(rows)
    store.close()


def test_only_the_missing_migrations_run(connection):
    migrate(connection, [["CREATE TABLE a (x)"]])
    connection.execute("INSERT INTO a VALUES (1)")
    migrate(connection, [["CREATE TABLE a (x)"], ["ALTER TABLE a ADD COLUMN y DEFAULT 5"]])
    assert version(connection) == 2
    assert connection.execute("SELECT x, y FROM a").fetchall() == [(1, 5)]


def test_a_migration_that_fails_leaves_no_trace(connection):
    good, bad = ["CREATE TABLE a (x)"], ["CREATE TABLE b (x)", "CREATE TABLE a (x)"]
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [good, bad])
    assert version(connection) == 1
    assert tables(connection) == {"a"}


def test_a_newer_schema_is_refused_in_words(connection):
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(StoreFailed, match="run the release that wrote it"):
        migrate(connection)
    assert tables(connection) == set()


async def test_another_programs_database_is_left_alone(tmp_path):
    path = tmp_path / "shop.db"
    theirs = connect(path)
    theirs.execute("CREATE TABLE customers (name)")
    theirs.close()
    with pytest.raises(StoreFailed, match="another program's database"):
        await SQLiteStore.open(path, entropy=fixed_entropy)
    with pytest.raises(StoreFailed, match="another program's database"):
        StoreReader(path)
    left = connect(path)
    assert tables(left) == {"customers"}
    left.close()
