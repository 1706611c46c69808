"""What is kept of compiled models: whole entries only, in a folder of the user's own, within bounds."""

import os
import threading
import time

import pytest

from building_segmenter.inference import model_cache
from building_segmenter.inference.model_cache import ModelCache, cache_folder


@pytest.fixture
def logs():
    return []


@pytest.fixture
def kept(tmp_path, logs):
    return ModelCache(tmp_path / "models", logs.append)


def entries(cache):
    return sorted(cache.folder.glob("*.model"))


def test_what_was_kept_is_found_under_its_key_only(kept, logs):
    assert kept.read("a") is None
    kept.write("a", b"compiled")
    assert (kept.read("a"), kept.read("b")) == (b"compiled", None)
    kept.write("a", b"anew")
    assert kept.read("a") == b"anew"
    assert [path.suffix for path in kept.folder.iterdir()] == [".model"]
    assert logs == []


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored[:-1],
        lambda stored: stored[:-1] + bytes([stored[-1] ^ 1]),
        lambda stored: stored[:40] + bytes([stored[40] ^ 1]) + stored[41:],
        lambda stored: b"",
        lambda stored: b"?" * len(stored),
    ],
    ids=["cut off", "content", "digest", "empty", "mark"],
)
def test_a_damaged_entry_is_told_and_can_be_replaced(kept, logs, change):
    kept.write("a", b"compiled" * 100)
    (entry,) = entries(kept)
    entry.write_bytes(change(entry.read_bytes()))
    assert kept.read("a") is None
    assert len(logs) == 1 and "damaged" in logs[0] and str(entry) in logs[0]
    kept.write("a", b"compiled")
    assert kept.read("a") == b"compiled"


def test_an_entry_under_the_name_of_another_is_not_taken_for_it(kept, logs):
    kept.write("a", b"compiled")
    (entry,) = entries(kept)
    kept.write("b", b"other")
    (other,) = (path for path in entries(kept) if path != entry)
    other.replace(entry)
    assert kept.read("a") is None
    assert "damaged" in logs[0]


def test_a_folder_that_cannot_be_made_is_told_and_does_no_harm(tmp_path, logs):
    (tmp_path / "file").write_text("")
    cache = ModelCache(tmp_path / "file" / "models", logs.append)
    cache.write("a", b"compiled")
    assert cache.read("a") is None
    assert logs


def test_a_full_disk_leaves_nothing(kept, logs, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    kept.write("a", b"compiled")
    assert list(kept.folder.iterdir()) == []
    assert "No space left" in logs[0]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such bits")
def test_the_folder_is_the_users_alone(kept):
    kept.write("a", b"compiled")
    assert kept.folder.stat().st_mode & 0o777 == 0o700
    assert entries(kept)[0].stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such bits")
def test_a_folder_that_others_may_write_to_is_not_used(kept, logs):
    kept.write("a", b"compiled")
    kept.folder.chmod(0o770)
    cache = ModelCache(kept.folder, logs.append)
    assert cache.read("a") is None
    cache.write("b", b"compiled")
    assert len(entries(kept)) == 1
    assert len(logs) == 1 and "other users may write" in logs[0]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such owners")
def test_a_folder_of_another_user_is_not_used(kept, logs, monkeypatch):
    kept.write("a", b"compiled")
    monkeypatch.setattr(os, "geteuid", lambda: kept.folder.stat().st_uid + 1)
    assert ModelCache(kept.folder, logs.append).read("a") is None
    assert "another user" in logs[0]


def used(cache, key, days_ago):
    """Make an entry look as if it was last used some days ago."""
    before = set(entries(cache))
    cache.write(key, b"compiled")
    (made,) = set(entries(cache)) - before
    os.utime(made, (time.time() - 86400 * days_ago,) * 2)


def test_entries_unused_longest_go(kept, monkeypatch):
    for days, key in ((3, "c"), (1, "a"), (4, "d"), (2, "b")):
        used(kept, key, days)
    monkeypatch.setattr(model_cache, "MOST_ENTRIES", 3)
    kept.write("new", b"compiled")
    assert [key for key in ("new", "a", "b", "c", "d") if kept.read(key)] == ["new", "a", "b"]


def test_an_entry_that_is_read_counts_as_used(kept, monkeypatch):
    for key, days in (("old", 9), ("older", 10)):
        used(kept, key, days)
    assert kept.read("older") == b"compiled"
    monkeypatch.setattr(model_cache, "MOST_ENTRIES", 2)
    kept.write("new", b"compiled")
    assert [kept.read(key) is None for key in ("old", "older", "new")] == [True, False, False]


def test_bytes_are_bounded_too(kept, monkeypatch):
    monkeypatch.setattr(model_cache, "MOST_BYTES", 5000)
    for number in range(10):
        kept.write(str(number), bytes(2000))
    assert len(entries(kept)) == 2
    assert kept.read("9") is not None
    kept.write("huge", bytes(6000))
    assert kept.read("huge") is None


def test_what_killed_runs_left_goes_after_a_day(kept):
    kept.write("a", b"compiled")
    fresh, old = kept.folder / "fresh.tmp", kept.folder / "old.tmp"
    for path in (fresh, old):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    kept.write("b", b"compiled")
    assert (fresh.exists(), old.exists()) == (True, False)


def test_runs_that_write_and_read_at_a_time_see_whole_entries_only(kept, logs):
    contents = [bytes([number]) * (1000 + 50_000 * number) for number in range(4)]
    wrong, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            found = kept.read("a")
            if found is not None and found not in contents:
                wrong.append(found)

    def write(content):
        for _ in range(40):
            ModelCache(kept.folder, logs.append).write("a", content)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert (wrong, logs) == ([], [])
    assert kept.read("a") in contents


def test_the_environment_names_the_folder_or_turns_it_off(monkeypatch, tmp_path):
    monkeypatch.setenv(model_cache.VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv(model_cache.VARIABLE, "off")
    assert cache_folder() is None
    monkeypatch.delenv(model_cache.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "caches"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path in cache_folder().parents
    assert cache_folder().parts[-2:] == ("building-segmenter", "models")


def test_without_a_cache_nothing_is_kept(logs):
    cache = ModelCache(None, logs.append)
    cache.write("a", b"compiled")
    assert cache.read("a") is None
    assert logs == []
