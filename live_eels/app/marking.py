"""Notes about places of a scan, kept in its recording."""

from __future__ import annotations

import numpy as np

from live_eels.app.session import Session
from live_eels.control import MarkRegion


def note(session: Session, command: MarkRegion) -> bool:
    """Keep what was marked, with its place, for the recording; False where there is none."""
    if session.recorder is None or not session.keep:
        return False
    text = command.request.replace("_", " ")
    if command.text:
        text = command.text if command.request == "note" else f"{text}: {command.text}"
    pixels = np.array(command.pixels, np.int64)
    session.recorder.note(text, pixels, command.corner, command.size)
    return True
