"""Another model during a scan: every pixel that was labelled by the old one is labelled again."""

from __future__ import annotations

import numpy as np

from conftest import two_phase_scan
from live_eels import control
from running_engine import messages, running, send, settings, wait_for

SENT = 96
OTHER = "mn-fe-linear-svm"


def _probabilities(snapshot):
    names = sorted(name for name in snapshot.maps if name.startswith("p("))
    assert names
    return np.stack([snapshot.maps[name].ravel()[:SENT] for name in names])


def test_all_earlier_pixels_are_relabelled_mid_scan(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan()
    labelled = '[classify]\nsource = "raw"\nmodel = '
    with running(settings(endpoint, tmp_path / "new", f'{labelled}"{OTHER}"\n')) as (
        engine,
        socket,
    ):
        send(socket, list(messages(scan, core, low, stop=SENT))[:-1])
        wait_for(lambda: engine.status().pixels_analysed == SENT, "the pixels")
        wait_for(lambda: np.isfinite(_probabilities(engine.snapshot())).all(), "their labels")
        wanted = _probabilities(engine.snapshot())
    with running(settings(endpoint, tmp_path / "old", f'{labelled}"auto"\n')) as (engine, socket):
        send(socket, list(messages(scan, core, low, stop=SENT))[:-1])
        wait_for(lambda: engine.status().pixels_analysed == SENT, "the pixels")
        wait_for(lambda: np.isfinite(_probabilities(engine.snapshot())).all(), "their labels")
        before = _probabilities(engine.snapshot())
        assert engine.status().model != OTHER
        assert OTHER in engine.command(control.SetModel(model=OTHER)).message
        assert engine.status().model == OTHER
        wait_for(
            lambda: np.array_equal(_probabilities(engine.snapshot()), wanted), "all pixels again"
        )
    assert (np.abs(before - wanted).max(axis=0) > 0).mean() > 0.4  # the models do differ
