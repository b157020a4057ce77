"""The allocator's settings: made where it is glibc's, and the user's win."""

import ctypes
from types import SimpleNamespace

import pytest

from cleanplate import threads

ARENA_MAX, MMAP_THRESHOLD, TRIM_THRESHOLD = -8, -3, -1


@pytest.fixture
def settings(monkeypatch):
    """Return the settings that are made, and let the library refuse those that are put into it."""
    made, refused = {}, []

    def mallopt(option, value):
        made[option] = value
        return option not in refused

    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=mallopt))
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    return made, refused


def test_freed_memory_is_kept_in_one_pool(settings):
    threads.keep_freed_memory()
    assert settings[0] == {ARENA_MAX: 1, MMAP_THRESHOLD: 256 << 20, TRIM_THRESHOLD: 256 << 20}


def test_without_the_one_threshold_the_other_is_not_set(settings):
    settings[1].append(MMAP_THRESHOLD)
    threads.keep_freed_memory()
    assert TRIM_THRESHOLD not in settings[0]


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_the_users_settings_win(settings, monkeypatch, name):
    monkeypatch.setenv(name, "2")
    threads.keep_freed_memory()
    assert settings[0] == {}


@pytest.mark.parametrize("library", [SimpleNamespace(), OSError, TypeError])
def test_other_libraries_are_left_alone(monkeypatch, library):
    def load(_):
        if isinstance(library, type):
            raise library
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)
    threads.keep_freed_memory()
