"""Threads beside the analysis change no result, lose no error, and run one chunk ahead."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from conftest import two_phase_scan
from live_eels.app.beside import BYTES_WAITING, Beside, Learning, Preparing
from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose_settings import DecomposeSettings
from live_eels.maps import MapBoard
from live_eels.pipeline import Pipeline
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk


def chunks(scan, core, low, size):
    for first in range(0, len(core), size):
        rows = slice(first, first + size)
        yield Chunk(scan, np.arange(first, min(first + size, len(core))), core[rows], low[rows])


def settled(beside: Beside | None):
    scan, core, low, phase = two_phase_scan((30, 20))
    core[phase == 1, 5:9] += 30  # something to be learnt late
    pipeline = Pipeline(
        scan,
        preprocess=PreprocessSettings(),
        decompose=DecomposeSettings(),
        cluster=ClusterSettings(),
        worker=beside.learning if beside else None,
        ahead=beside.preparing.ahead if beside else map,
    )
    board = MapBoard(scan, pipeline.specs)
    for chunk in chunks(scan, core, low, 37):
        board.announce(pipeline.specs)
        result = pipeline.process(chunk)
        board.announce(pipeline.specs)
        board.update(result)
    for result in pipeline.settle(lambda size: chunks(scan, core, low, size)):
        board.announce(pipeline.specs)
        board.update(result)
    return board.snapshot().maps


def test_threads_give_the_bits_of_one_thread():
    alone, beside = settled(None), settled(Beside())
    assert alone.keys() == beside.keys()
    for name, values in alone.items():
        np.testing.assert_array_equal(beside[name], values, err_msg=name)


def test_one_item_is_worked_on_ahead_and_no_more():
    begun = []
    second = threading.Event()

    def work(item):
        begun.append(item)
        if item == 1:
            second.set()
        return item * item

    results = Preparing().ahead(work, range(5))
    assert next(results) == 0
    assert second.wait(10)  # begun although nobody asked for it yet
    assert begun == [0, 1]
    assert list(results) == [1, 4, 9, 16]


def test_an_error_comes_out_where_its_item_is_asked_for():
    def work(item):
        if item == 2:
            raise ValueError("no such chunk")
        return item

    results = Preparing().ahead(work, range(5))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="no such chunk"):
        next(results)


def test_blocks_are_learnt_in_order_and_news_is_given_of_each():
    learnt, news = [], []
    learning = Learning(lambda: news.append(len(learnt)))
    for number in range(100):
        learning.do(lambda number=number: learnt.append(number), BYTES_WAITING // 8)
    learning.wait()
    assert learnt == list(range(100))
    assert news == list(range(1, 101))


def test_an_error_in_learning_is_not_lost():
    def fail():
        raise ValueError("cannot learn this")

    learning = Learning(lambda: None)
    learning.do(fail, 1)
    with pytest.raises(ValueError, match="cannot learn this"):
        learning.wait()
    learning.wait()


@pytest.mark.parametrize("blocks", [4, 256])
def test_the_stream_waits_when_blocks_hold_too_much(blocks):
    hold = threading.Event()
    learning = Learning(lambda: None)
    for _ in range(blocks):  # no more than may wait
        learning.do(hold.wait, BYTES_WAITING // blocks)
    fed = threading.Event()
    feeder = threading.Thread(target=lambda: (learning.do(lambda: None, 1), fed.set()))
    feeder.start()
    assert not fed.wait(0.05)
    hold.set()
    feeder.join(10)
    assert fed.is_set()
    learning.wait()
