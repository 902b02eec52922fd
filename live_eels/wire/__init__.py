r"""Our wire format, version 1: this docstring is the specification.

A sender needs ZeroMQ, msgpack and this page. Every message is multipart::

    topic | header | array part ...

``topic``
    Up to 255 bytes, for subscription filters only; its content is not read. We send
    ``scan``, ``spectra`` and ``scan_end``.
``header``
    One msgpack map, at most 64 KiB. ``type`` says which message it is. Unknown fields,
    missing fields and wrong types are errors. Strings are UTF-8 without control characters;
    numbers must be finite.
array parts
    Raw little-endian buffers in C order, nothing before or after, in the order in which the
    header announces them. Type codes are numpy's without byte order: ``u1 u2 u4 i4 f4 f8``.

A *pixel* is a beam position as a flat index into the navigation shape, last axis fastest,
from 0. Messages of one scan, in the order in which they are sent:

``scan``: sent once before the first spectrum, and again every second or so, unchanged, so
that a late subscriber can join (a repeated one is no error). ::

    {"type": "scan", "version": 1,
     "scan": "6f1c...",                  # unique name of the scan: a UUID, 1 to 64 characters
     "title": "LSMO_0421",               # optional; for people and file names
     "navigation": [                     # slow axis first; [] for a single spectrum (live view)
        {"name": "y", "size": 64, "scale": 0.5, "units": "nm", "offset": 0.0},
        {"name": "x", "size": 64, "scale": 0.5, "units": "nm"}],   # offset optional
     "signals": [                        # one; or two, of which one is named "low" (its low loss)
        {"name": "core", "offset_ev": 600.0, "dispersion_ev": 0.25, "size": 1024, "dtype": "u2",
         "dark": false, "gain": false}], # optional: true announces an array part, float32 (size,)
     "instrument": {"beam_energy_kev": 200.0, "convergence_mrad": 30.0,   # all optional
                    "collection_mrad": 50.0, "dwell_s": 0.001, "beam_current_na": 0.1,
                    "microscope": "...", "spectrometer": "..."},
     "passes": 1,                        # optional: how often the beam visits each pixel
     "simulated": false}                 # optional

Array parts: for each signal in order, its dark reference if announced, then its gain
reference if announced (measured counts = true counts * gain + dark).

``spectra``: any number of spectra of one signal. ::

    {"type": "spectra", "scan": "6f1c...", "signal": "core",
     "sequence": 0,          # counts every spectra message of this scan (all signals), from 0
     "n": 16,                # number of spectra in this message, at least 1
     "channels": 1024, "dtype": "u2",     # as announced
     "first": 128,           # the pixels are first, first + 1, ..., or, without it:
     "clock_s": 1795500000.25}            # optional: sender's UNIX time after the last spectrum

Array parts: without ``first``, the pixel indices, int64 ``(n,)``; then the counts,
``(n, channels)``. Serpentine, sub-sampled and adaptive scans give indices. A pixel that
comes again (several passes) adds up. No pixel comes twice within one message. Order is
free; a sequence number that never comes is a gap, one that comes twice a duplicate.

``scan_end``::

    {"type": "scan_end", "scan": "6f1c...",
     "reason": "complete",   # or "aborted" (the operator), "lost" (the sender lost the beam)
     "pixels_sent": 4096}    # optional: pixel visits sent, counted over one signal

The next ``scan`` (another ``scan`` name) may follow at once; it also ends the one before.

Results go out on a PUB socket in the same shape, topic first, so that a subscriber can
choose: ``scan`` (the announcement of the scan, as above), ``pixels``, ``map/<name>``,
``curve/<name>``, ``contents``, ``status``, ``event``. Headers::

    {"type": "pixels", "scan": ..., "n": 16, "maps": ["label", "valence"]}
                             # parts: pixels, int64 (n,); values, float32 (map, n): these
                             # pixels were just analysed; whole maps follow at a slower rate

    {"type": "map", "scan": ..., "name": "label", "version": 17, "kind": "label", "unit": "",
     "meaning": "...", "classes": ["Mn2+", ...], "limits": null, "shape": [64, 64],
     "scale": [0.5, 0.5], "units": ["nm", "nm"]}          # part: float32, nan where unknown
    {"type": "curve", "scan": ..., "name": "factors", "version": 17, "offset_ev": 600.0,
     "dispersion_ev": 0.25, "labels": ["1", "2"], "unit": "...", "shape": [2, 1024],
     "error": false}         # part: float32 (curve, channel); then its sigma if "error"
    {"type": "contents", "scan": ..., "version": 17, "maps": ["label", ...],
     "curves": ["factors"], "components": 3, "scree": [812.0, 96.5, ...]}
                             # all there is now: what is not named here exists no more
    {"type": "status", "status": {...}}                    # fields: ``control.Status``
    {"type": "event", "event": "mark_region", "scan": ..., "details": {...}}

Lives here: both directions, pure functions on bytes. Knows no socket and no clock. Spectra
coming in are in `scans`, results going out in `results`, limits and raw arrays in `parts`.
"""

from __future__ import annotations

from live_eels.wire.parts import MAX_ARRAY_BYTES, Part
from live_eels.wire.results import (
    ContentsMessage,
    CurveMessage,
    EventMessage,
    MapMessage,
    PixelsMessage,
    Result,
    StatusMessage,
    decode_result,
    encode_contents,
    encode_curve,
    encode_event,
    encode_map,
    encode_pixels,
    encode_status,
)
from live_eels.wire.scans import VERSION, Message, decode, encode

__all__ = [
    "MAX_ARRAY_BYTES",
    "VERSION",
    "ContentsMessage",
    "CurveMessage",
    "EventMessage",
    "MapMessage",
    "Message",
    "Part",
    "PixelsMessage",
    "Result",
    "StatusMessage",
    "decode",
    "decode_result",
    "encode",
    "encode_contents",
    "encode_curve",
    "encode_event",
    "encode_map",
    "encode_pixels",
    "encode_status",
]
