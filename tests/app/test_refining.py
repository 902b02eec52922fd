"""Refinement while the engine runs: in a worker, with progress, its maps beside the others."""

from __future__ import annotations

import os
import signal

import numpy as np
from sklearn.metrics import adjusted_rand_score

from conftest import two_phase_scan
from live_eels import control
from running_engine import messages, running, send, settings, wait_for


def test_maps_of_a_refinement_join_those_of_the_scan(endpoint, tmp_path):
    scan, core, low, truth = two_phase_scan((20, 18))
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        send(socket, messages(scan, core, low))
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        before = engine.snapshot()
        answer = engine.command(control.Refine(method="ward", clusters=2))
        assert isinstance(answer, control.Ok), answer
        again = engine.command(control.Refine(method="nmf"))
        assert isinstance(again, control.Refused)
        wait_for(lambda: engine.status().refine_progress is not None, "progress")
        assert "ward" in engine.status().refine
        wait_for(lambda: "ward" in engine.snapshot().maps, "the maps")
        snapshot, status = engine.snapshot(), engine.status()
    assert status.refine == ""
    assert status.alarms == []
    assert adjusted_rand_score(np.ravel(truth), snapshot.maps["ward"].ravel()) > 0.95
    assert snapshot.curves["ward means"].error is not None
    np.testing.assert_array_equal(snapshot.maps["cluster"], before.maps["cluster"])


def test_a_worker_that_dies_is_told_and_the_next_may_come(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan((20, 18))
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        assert isinstance(engine.command(control.Refine(method="ward")), control.Refused)
        send(socket, messages(scan, core, low))
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        unknown = engine.command(control.Refine(method="magic"))
        assert "ward, hdbscan, nmf, ica" in unknown.error
        engine.command(control.Refine(method="ica"))
        os.kill(engine.refining._process.pid, signal.SIGTERM)
        wait_for(lambda: not engine.refining.running, "the end of the worker")
        wait_for(lambda: engine.status().alarms, "an alarm")
        assert "ica: the worker ended" in engine.status().alarms[0]
        assert isinstance(engine.command(control.Refine(method="ica")), control.Ok)
    assert not engine.refining.running
