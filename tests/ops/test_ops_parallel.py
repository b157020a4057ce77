"""Work in threads: the results in order, no more at a time than said, the first error."""

import functools
import threading
import time

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.ops.tiling import at_once, parallel_map


@given(items=st.lists(st.integers(), max_size=20), max_concurrency=st.integers(1, 5))
def test_the_results_are_in_the_things_order(items, max_concurrency):
    assert list(parallel_map(lambda item: item * 2, items, max_concurrency)) == [
        n * 2 for n in items
    ]


def test_so_many_at_a_time_and_no_more():
    met = threading.Barrier(3, timeout=10)
    lock, inside, most = threading.Lock(), 0, 0

    def work(_):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        met.wait()
        with lock:
            inside -= 1

    assert len(list(parallel_map(work, range(9), 3))) == 9
    assert most == 3


def test_one_lane_works_here_and_only_when_it_is_asked_to():
    done = []
    results = parallel_map(lambda n: done.append((n, threading.current_thread())), [1, 2, 3], 1)
    assert done == []
    next(results)
    assert done == [(1, threading.current_thread())]


@pytest.mark.parametrize("max_concurrency", [1, 2])
def test_an_error_ends_it_and_what_was_not_begun_is_left_out(max_concurrency):
    begun = []

    def work(number):
        begun.append(number)
        if number == 1:
            raise ValueError("one")
        if number > 1:
            time.sleep(0.005)  # no longer than it takes to hear of the error
        return number

    results = parallel_map(work, range(1000), max_concurrency)
    assert next(results) == 0
    with pytest.raises(ValueError, match="one"):
        list(results)
    assert len(begun) < 1000


@pytest.mark.parametrize(("cores", "most"), [(1, 1), (2, 2), (16, 2)])
def test_calls_are_made_at_once_on_the_cores_that_opencv_may_use(monkeypatch, cores, most):
    monkeypatch.setattr(cv2, "getNumThreads", lambda: cores)
    lock, inside, seen = threading.Lock(), 0, []

    def work(number):
        nonlocal inside
        with lock:
            inside += 1
            seen.append(inside)
        time.sleep(0.01)
        with lock:
            inside -= 1
        return number

    calls = (functools.partial(work, number) for number in range(6))
    assert at_once(*calls) == [0, 1, 2, 3, 4, 5]
    assert max(seen) == most
