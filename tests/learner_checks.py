"""One exam for every learner: what learning and reading may and may not do.

A learner has ``learn(rows) -> None``, ``finish() -> None``, perhaps ``merge(other)``, and one
way of being read (``transform`` or ``predict``). ``sit`` runs all of the exam.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Candidate:
    """A learner and what it is examined on.

    ``make(seed)`` gives a fresh one; ``read(learner, rows)`` is its transform or predict;
    ``rows`` are float32 ``(pixel, ...)``; ``unknown(answer)`` tells, per pixel, where the
    learner says that it cannot say.
    """

    make: Callable[[int], Any]
    read: Callable[[Any, NDArray[np.float32]], NDArray[Any]]
    rows: NDArray[np.float32]
    unknown: Callable[[NDArray[Any]], NDArray[np.bool_]]


def sit(candidate: Candidate) -> None:
    """Run every check that needs no random cuts."""
    for check in CHECKS:
        check(candidate)


def state(thing: Any) -> Any:
    """Everything a learner remembers, as comparable plain values: what would be pickled."""
    if isinstance(thing, np.ndarray):
        return (thing.dtype.str, thing.shape, thing.tobytes())
    if isinstance(thing, np.random.Generator):
        return repr(thing.bit_generator.state)
    if isinstance(thing, dict):
        return {key: state(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [state(value) for value in thing]
    return state(thing.__getstate__()) if hasattr(thing, "__dict__") else thing


def remembered(learner: Any) -> Any:
    """State of a learner as it would be pickled."""
    return state(learner.__getstate__())


def learned(candidate: Candidate, cuts: Sequence[int] = (), seed: int = 0) -> Any:
    """A learner that has seen all rows, in chunks cut at ``cuts``."""
    learner = candidate.make(seed)
    for rows in np.split(candidate.rows, sorted(cuts)):
        learner.learn(rows)
    return learner


def check_learning_returns_nothing_and_leaves_its_input(candidate: Candidate) -> None:
    rows = candidate.rows.copy()
    rows.setflags(write=False)
    before = rows.tobytes()
    learner = candidate.make(0)
    assert learner.learn(rows) is None
    assert learner.finish() is None
    assert rows.tobytes() == before


def check_learning_keeps_no_view_of_its_input(candidate: Candidate) -> None:
    rows = candidate.rows.copy()
    learner, other = candidate.make(0), candidate.make(0)
    for start in range(0, len(rows), 7):
        chunk = rows[start : start + 7].copy()
        learner.learn(chunk)
        chunk[:] = -1e30
        other.learn(rows[start : start + 7])
    assert remembered(learner) == remembered(other)


def check_seed_repeats(candidate: Candidate) -> None:
    first, second = learned(candidate, seed=5), learned(candidate, seed=5)
    assert remembered(first) == remembered(second)


def check_defaults_are_not_shared(candidate: Candidate) -> None:
    fresh = remembered(candidate.make(0))
    learned(candidate)
    assert remembered(candidate.make(0)) == fresh


def check_pickles_mid_stream(candidate: Candidate) -> None:
    half = len(candidate.rows) // 2 + 3
    learner = candidate.make(0)
    learner.learn(candidate.rows[:half])
    twin = pickle.loads(pickle.dumps(learner))
    for one in (learner, twin):
        one.learn(candidate.rows[half:])
        one.finish()
    assert remembered(learner) == remembered(twin)


def check_reading_leaves_no_trace(candidate: Candidate) -> None:
    learner = learned(candidate)
    before = remembered(learner)
    rows = candidate.rows.copy()
    rows.setflags(write=False)
    first = candidate.read(learner, rows)
    second = candidate.read(learner, rows)
    assert remembered(learner) == before
    assert first.tobytes() == second.tobytes()


def check_reading_goes_row_by_row(candidate: Candidate) -> None:
    learner = learned(candidate)
    whole = candidate.read(learner, candidate.rows)
    for start, stop in ((0, 1), (1, 4), (4, 21), (21, len(candidate.rows))):
        part = candidate.read(learner, candidate.rows[start:stop])
        assert part.tobytes() == whole[start:stop].tobytes()


def check_cuts_do_not_matter(candidate: Candidate) -> None:
    n = len(candidate.rows)
    whole = remembered(learned(candidate))
    assert remembered(learned(candidate, range(1, n))) == whole
    assert remembered(learned(candidate, range(0, n, 50))) == whole
    assert remembered(learned(candidate, [0, 0, n])) == whole


def check_nothing(candidate: Candidate) -> None:
    learner = candidate.make(0)
    before = remembered(learner)
    learner.learn(candidate.rows[:0])
    assert remembered(learner) == before
    answer = candidate.read(learner, candidate.rows[:5])
    assert candidate.unknown(answer).all()
    assert len(candidate.read(learner, candidate.rows[:0])) == 0
    learner.finish()
    assert candidate.unknown(candidate.read(learner, candidate.rows[:5])).all()


def check_one(candidate: Candidate) -> None:
    learner = candidate.make(0)
    learner.learn(candidate.rows[:1])
    learner.finish()
    answer = candidate.read(learner, candidate.rows[:1])
    assert len(answer) == 1
    assert not candidate.unknown(answer).any()


def check_nan_rows(candidate: Candidate) -> None:
    rows = candidate.rows.copy()
    broken = np.zeros(len(rows), bool)
    broken[[0, 3, 40, 41, len(rows) - 1]] = True
    rows[broken, 1] = np.nan
    rows[41] = np.nan
    learner = candidate.make(0)
    learner.learn(rows)
    learner.finish()
    assert np.array_equal(candidate.unknown(candidate.read(learner, rows)), broken)


def check_merging_with_a_fresh_one(candidate: Candidate) -> None:
    learner = learned(candidate)
    learner.finish()
    if not hasattr(learner, "merge"):
        return
    merged = copy.deepcopy(learner)
    fresh = candidate.make(0)
    before = remembered(fresh)
    merged.merge(fresh)
    assert remembered(fresh) == before
    a, b = candidate.read(learner, candidate.rows), candidate.read(merged, candidate.rows)
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-3 * np.abs(np.nan_to_num(a)).max())


CHECKS = [check for name, check in list(globals().items()) if name.startswith("check_")]
