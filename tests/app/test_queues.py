"""Edges between threads: bounded by weight, closed by the sender, woken, never polled."""

from __future__ import annotations

import threading

import pytest

from live_eels.app.queues import Closed, Edge


def test_first_in_first_out():
    edge = Edge(10)
    for item in (1, 2, 3):
        edge.put(item, 1)
    assert [edge.get(), edge.get(), edge.get()] == [1, 2, 3]


def test_offer_refuses_what_does_not_fit_but_takes_one_oversized_item_when_empty():
    edge = Edge(10)
    assert edge.offer("big", 50)
    assert not edge.offer("small", 1)
    assert edge.fill == 5.0
    edge.get()
    assert edge.offer("small", 10)
    assert not edge.offer("more", 1)


def test_weightless_items_always_pass():
    edge = Edge(1)
    edge.put("chunk", 1)
    edge.put("scan", 0)
    assert edge.get() == "chunk"
    assert edge.get() == "scan"


def test_an_item_larger_than_the_edge_passes_when_it_is_alone():
    edge = Edge(10)
    thread = threading.Thread(target=edge.put, args=("big", 50), daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert edge.get() == "big"


def test_put_waits_for_room():
    edge = Edge(1)
    edge.put(1, 1)
    done = threading.Event()

    def put():
        edge.put(2, 1)
        done.set()

    thread = threading.Thread(target=put)
    thread.start()
    assert not done.wait(0.05)
    assert edge.get() == 1
    assert done.wait(5)
    thread.join()
    assert edge.get() == 2


def test_closed_edges_give_what_waits_and_then_say_so():
    edge = Edge(10)
    edge.put(1, 1)
    edge.close()
    with pytest.raises(Closed):
        edge.put(2, 1)
    assert not edge.offer(3, 1)
    assert edge.get() == 1
    with pytest.raises(Closed):
        edge.get()


def test_close_frees_a_waiting_sender_and_a_waiting_taker():
    full, empty = Edge(1), Edge(1)
    full.put(1, 1)
    outcomes = []

    def run(action):
        try:
            action()
        except Closed:
            outcomes.append("closed")

    threads = [
        threading.Thread(target=run, args=(lambda: full.put(2, 1),)),
        threading.Thread(target=run, args=(empty.get,)),
    ]
    for thread in threads:
        thread.start()
    full.close()
    empty.close()
    for thread in threads:
        thread.join(5)
    assert outcomes == ["closed", "closed"]


def test_wake_makes_get_return_nothing():
    edge = Edge(1)
    got = []
    thread = threading.Thread(target=lambda: got.append(edge.get()))
    thread.start()
    while not edge.idle:
        pass
    edge.wake()
    thread.join(5)
    assert got == [None]
    thread = threading.Thread(target=lambda: got.append(edge.get()))
    thread.start()
    while not edge.idle and thread.is_alive():
        pass
    edge.put("item")  # one call wakes once: until this came, nothing was returned
    thread.join(5)
    assert got == [None, "item"]


def test_get_gives_up_in_time():
    assert Edge(1).get(0.001) is None
