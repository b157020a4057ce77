"""Calls from several threads: each gets its own answer, however they were computed."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.errors import DeviceError
from cleanplate.runtime.batching import Batcher


class Doubling:
    """Doubles what it gets, and remembers the batches; holds each until it is let go."""

    def __init__(self, held: bool = False) -> None:
        self.batches: list[int] = []
        self.at_once = self.most_at_once = 0
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        if not held:
            self.gate.set()

    def __call__(self, tensors):
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.entered.release()
        assert self.gate.wait(10)
        self.batches.append(len(tensors[0]))
        self.at_once -= 1
        if any((tensor < 0).any() for tensor in tensors):
            raise ValueError("a negative number")
        return [tensor * 2 for tensor in tensors]


def value(number, size=3):
    return np.full((1, size), number, np.float32)


def call_all(batcher, run, tensors):
    """Call from a thread each; the first is computing while the others come."""
    with ThreadPoolExecutor(len(tensors)) as pool:
        first = pool.submit(batcher, [tensors[0]])
        assert run.entered.acquire(timeout=10)
        others = [pool.submit(batcher, [tensor]) for tensor in tensors[1:]]
        while len(batcher._waiting) < len(others):
            threading.Event().wait(0.001)
        run.gate.set()
        return [first, *others]


def test_a_call_alone_is_computed_at_once_and_as_it_is():
    batcher = Batcher(run := Doubling())
    tensor = value(4)
    (doubled,) = batcher([tensor])
    np.testing.assert_array_equal(doubled, tensor * 2)
    assert run.batches == [1]


def test_what_came_in_the_meantime_is_one_batch():
    batcher = Batcher(run := Doubling(held=True))
    answers = call_all(batcher, run, [value(number) for number in range(6)])
    for number, answer in enumerate(answers):
        np.testing.assert_array_equal(answer.result()[0], value(2 * number))
    assert run.batches == [1, 5]
    assert run.most_at_once == 1


def test_only_calls_of_the_same_shape_and_dtype_are_computed_together():
    batcher = Batcher(run := Doubling(held=True))
    tensors = [value(1), value(2), value(3, size=4), value(5), value(6).astype(np.float64)]
    answers = call_all(batcher, run, tensors)
    for tensor, answer in zip(tensors, answers, strict=True):
        (doubled,) = answer.result()
        np.testing.assert_array_equal(doubled, tensor * 2)
        assert doubled.dtype == tensor.dtype
    assert sorted(run.batches) == [1, 1, 1, 2]


def test_calls_may_bring_batches_themselves():
    batcher = Batcher(run := Doubling(held=True))
    tensors = [np.arange(6, dtype=np.float32).reshape(2, 3) + 10 * number for number in range(4)]
    answers = call_all(batcher, run, tensors)
    for tensor, answer in zip(tensors, answers, strict=True):
        np.testing.assert_array_equal(answer.result()[0], tensor * 2)
    assert run.batches == [2, 6]


def test_a_batch_has_its_limit():
    batcher = Batcher(run := Doubling(held=True), most=4)
    answers = call_all(batcher, run, [value(number) for number in range(10)])
    assert [answer.result()[0][0, 0] for answer in answers] == [2 * n for n in range(10)]
    assert run.batches == [1, 4, 4, 1]


def test_a_batch_that_was_too_large_is_not_tried_again():
    class Small(Doubling):
        def __call__(self, tensors):
            doubled = super().__call__(tensors)
            if len(tensors[0]) > 3:
                raise DeviceError("cuda", "out of memory")
            return doubled

    run = Small(held=True)
    batcher = Batcher(run)
    for answer in call_all(batcher, run, [value(number) for number in range(7)]):
        assert len(answer.result()) == 1
    assert run.batches == [1, 6, *[1] * 6]
    run.gate.clear()
    run.entered = threading.Semaphore(0)
    run.batches.clear()
    for answer in call_all(batcher, run, [value(number) for number in range(7)]):
        assert len(answer.result()) == 1
    assert run.batches == [1, 3, 3]


def test_large_inputs_are_computed_alone(monkeypatch):
    monkeypatch.setattr("cleanplate.runtime.batching._MAX_VALUES", 5)
    batcher = Batcher(run := Doubling(held=True))
    for answer in call_all(batcher, run, [value(1)] * 4):
        answer.result()
    assert run.batches == [1] * 4


def test_ones_fault_is_not_the_others():
    batcher = Batcher(run := Doubling(held=True))
    answers = call_all(batcher, run, [value(number) for number in (1, 2, -3, 4)])
    with pytest.raises(ValueError, match="a negative number"):
        answers[2].result()
    assert [answers[index].result()[0][0, 0] for index in (0, 1, 3)] == [2, 4, 8]
    assert run.batches == [1, 3, 1, 1, 1]
    np.testing.assert_array_equal(batcher([value(5)])[0], value(10))


@given(
    numbers=st.lists(st.integers(0, 99), min_size=1, max_size=30),
    max_concurrency=st.integers(1, 8),
    most=st.integers(1, 5),
)
def test_everyone_gets_their_own(numbers, max_concurrency, most):
    batcher = Batcher(run := Doubling(), most=most)
    tensors = [value(number, size=1 + number % 2) for number in numbers]
    with ThreadPoolExecutor(max_concurrency) as pool:
        found = list(pool.map(lambda tensor: batcher([tensor, tensor + 1]), tensors))
    for tensor, (first, second) in zip(tensors, found, strict=True):
        np.testing.assert_array_equal(first, tensor * 2)
        np.testing.assert_array_equal(second, tensor * 2 + 2)
    assert sum(run.batches) == len(numbers)
    assert max(run.batches) <= most
    assert run.most_at_once == 1
