"""Spectra for the page: means, their errors, and the way over the control socket."""

from __future__ import annotations

import threading
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from conftest import two_phase_scan
from live_eels import control
from live_eels.app import answers
from live_eels.app.answers import spectrum_answer, spectrum_from, spectrum_reply
from live_eels.app.session import Session
from live_eels.io.recorder import Recorder
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk, EnergyAxis


@pytest.fixture
def recorded(tmp_path: Path):
    """A session whose first 60 of 120 pixels are recorded, and their core counts."""
    scan, core, low, _ = two_phase_scan()
    session = Session(scan, 1, 0.0, 0.0)
    session.recorder = Recorder(tmp_path / "a.hspy", scan)
    session.recorder.write(Chunk(scan, np.arange(60), core[:60], low[:60]))
    session.recorder.close()
    return session, core.astype(np.float64)


def asked(session, pixels, settings=None):
    lock = threading.Lock()
    return spectrum_answer(session, settings or PreprocessSettings(), np.array(pixels), lock)


def test_pixels_outside_twice_or_not_yet_scanned_are_left_out(recorded):
    session, core = recorded
    answer = asked(session, [-5, 3, 3, 59, 60, 119, 5000])
    assert (answer.n, answer.asked, answer.visits) == (2, 7, 2)
    np.testing.assert_allclose(answer.raw, core[[3, 59]].mean(axis=0), rtol=1e-6)
    with pytest.raises(LookupError, match="not scanned yet"):
        asked(session, [60, 119])
    session.recorder = None
    with pytest.raises(LookupError, match="not recorded"):
        asked(session, [3])


def test_the_error_is_poissons_for_few_pixels_and_the_spread_of_many(recorded):
    session, core = recorded
    few = asked(session, range(4))
    np.testing.assert_allclose(few.error, np.sqrt(core[:4].sum(axis=0)) / 4, rtol=1e-6)
    many = asked(session, range(9))
    np.testing.assert_allclose(many.error, core[:9].std(axis=0, ddof=1) / 3, rtol=1e-6)


def test_a_large_region_is_drawn_from_evenly_and_says_so(recorded, monkeypatch):
    session, core = recorded
    monkeypatch.setattr(answers, "MAX_PIXELS", 3)
    answer = asked(session, range(60))
    assert (answer.n, answer.asked) == (3, 60)
    assert "3 pixels" in answer.note
    np.testing.assert_allclose(answer.raw, core[[0, 29, 59]].mean(axis=0), rtol=1e-6)


def test_background_and_signal_add_up_in_the_window_and_are_nan_outside(recorded):
    session, _ = recorded
    answer = asked(session, range(9))
    window = np.isfinite(answer.signal)
    assert 0 < window.sum() < window.size
    together = answer.background[window] + answer.signal[window]
    np.testing.assert_allclose(together, answer.processed[window], rtol=1e-4)
    assert answer.background[window].mean() > answer.signal[window].mean() > 0
    plain = asked(session, range(9), PreprocessSettings(background="none"))
    assert plain.background is plain.signal is None


def test_windows_that_do_not_fit_give_the_spectrum_all_the_same(recorded):
    session, core = recorded
    answer = asked(session, [3], PreprocessSettings(window_ev=(900.0, 950.0)))
    np.testing.assert_allclose(answer.raw, core[3])


@pytest.mark.parametrize("background", ["auto", "none"])
def test_an_answer_comes_out_of_the_socket_as_it_went_in(recorded, background):
    session, _ = recorded
    answer = asked(session, [3, 4], PreprocessSettings(background=background))
    reply = control.decode_reply(control.encode(spectrum_reply(answer)))
    assert isinstance(reply, control.Spectrum)
    there = spectrum_from(reply)
    for field in fields(answer):
        here, far = getattr(answer, field.name), getattr(there, field.name)
        if isinstance(here, np.ndarray):
            np.testing.assert_array_equal(far, here, err_msg=field.name)
        elif isinstance(here, EnergyAxis):
            assert (far.offset_ev, far.dispersion_ev) == (here.offset_ev, here.dispersion_ev)
        else:
            assert far == here, field.name
