"""Messages that tell which pixel, visit and channel they are, and what an assembler makes of them.

Lives here: senders, good and bad, and the reading of what came out.
"""

import random
from collections import Counter

import numpy as np

from live_eels.spectra import Chunk, EnergyAxis, NavigationAxis, Scan, Signal, Spectra

CHANNELS, LOW_CHANNELS = 5, 3


def scan_of(*shape, scan_id="s", low=False, dtype="u2", passes=1):
    navigation = tuple(NavigationAxis("yx"[-1], size) for size in shape)
    signals = [Signal("core", EnergyAxis(600, 0.25, CHANNELS), dtype)]
    if low:
        signals.append(Signal("low", EnergyAxis(-10, 0.1, LOW_CHANNELS), "f4"))
    return Scan(scan_id, navigation, tuple(signals), passes=passes)


def core(pixels, sequence=0, scan_id="s", visit=0, channels=CHANNELS, dtype="<u2"):
    """Spectra that tell which pixel, which visit and which channel they are."""
    pixels = np.atleast_1d(np.asarray(pixels, np.int64))
    counts = (pixels[:, None] * 7 + visit * 1000 + np.arange(channels)).astype(dtype)
    return Spectra(scan_id, "core", sequence, pixels, counts, float(sequence))


def low(pixels, sequence=0, scan_id="s", visit=0):
    pixels = np.atleast_1d(np.asarray(pixels, np.int64))
    counts = (pixels[:, None] * 11 + visit * 1000 + np.arange(LOW_CHANNELS)).astype("<f4")
    return Spectra(scan_id, "low", sequence, pixels, counts)


def play(assembler, messages, flush=None):
    """Feed all messages, flushing now and then; returns everything that came out."""
    out = []
    for number, message in enumerate(messages):
        out += assembler.feed(message, float(number))
        if flush is not None and flush(number):
            out += assembler.flush()
    return out


def chunks(out):
    return [item for item in out if isinstance(item, Chunk)]


def rows(out, signal="core"):
    """The multiset of (pixel, counts) that came out; pixels without this signal left out."""
    found = Counter()
    for chunk in chunks(out):
        counts = chunk.counts if signal == "core" else chunk.low
        seen = chunk.core_seen if signal == "core" else chunk.low_seen
        assert len(counts) == len(chunk.pixels)
        assert len(np.unique(chunk.pixels)) == len(chunk.pixels)
        for place, pixel in enumerate(chunk.pixels):
            if seen is None or seen[place]:
                found[int(pixel), tuple(counts[place].tolist())] += 1
            else:
                assert not counts[place].any()
    return found


def sent(messages, signal="core"):
    return Counter(
        (int(pixel), tuple(counts.tolist()))
        for message in messages
        if isinstance(message, Spectra) and message.signal == signal
        for pixel, counts in zip(message.pixels, message.counts, strict=True)
    )


def image(pixels=24, step=1, passes=1, scan_id="s"):
    """All spectra messages of a scan, ``step`` pixels a message."""
    starts = [(visit, first) for visit in range(passes) for first in range(0, pixels, step)]
    return [
        core(np.arange(first, min(first + step, pixels)), number, scan_id, visit)
        for number, (visit, first) in enumerate(starts)
    ]


def pair(pixels, order, step=1):
    """Messages of core and low loss of the same pixels in some order of arrival."""
    messages = []
    for first in range(0, pixels, step):
        these = np.arange(first, min(first + step, pixels))
        messages += [core(these, len(messages)), low(these, len(messages) + 1)]
    if order == "core first":
        messages.sort(key=lambda message: message.signal)
    elif order == "low first":
        messages.sort(key=lambda message: message.signal, reverse=True)
    elif order == "mixed":
        random.Random(4).shuffle(messages)
    return messages


def spoil(messages, rng):
    """Drop, double and displace messages; returns them with what was done."""
    kept, dropped = [], 0
    for message in messages:
        if rng.random() < 0.1:
            dropped += 1
            continue
        kept.append(message)
        if rng.random() < 0.1:
            kept.append(message)
    for place in range(len(kept) - 1):
        if rng.random() < 0.15:
            other = min(place + rng.randrange(1, 9), len(kept) - 1)
            kept[place], kept[other] = kept[other], kept[place]
    return kept, dropped
