"""An engine on another machine, seen through its two sockets: what ``live-eels view`` shows.

Offers the page what a local engine offers; maps come by subscription, spectra and commands
over the control socket.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import msgspec
import numpy as np
import zmq
from numpy.typing import NDArray

from live_eels import __version__, wire
from live_eels.app.answers import spectrum_from
from live_eels.control import (
    Command,
    ControlError,
    GetSpectrum,
    GetWindowMap,
    Refused,
    Reply,
    Spectrum,
    Status,
    WindowMap,
)
from live_eels.io.client import EngineGone, ask
from live_eels.io.viewer import SpectrumAnswer
from live_eels.spectra import Curve, EnergyAxis, MapSnapshot, MapSpec, Scan, WireError

QUIET_S = 3.0
"""After so long without a status the engine counts as gone."""

HISTORY = 32
"""Earlier scans whose last maps are kept."""

POLL_MS = 200
MAX_PIXELS = 4096


class RemoteEngine:
    """What a page asks of an engine, asked over the network.

    Parameters
    ----------
    maps_endpoint, control_endpoint
        The engine's ``publish.endpoint`` and ``control.endpoint``.
    """

    def __init__(self, maps_endpoint: str, control_endpoint: str) -> None:
        self._control = control_endpoint
        self._context = zmq.Context()
        self._maps = self._context.socket(zmq.SUB)
        self._maps.set(zmq.RCVHWM, 1000)
        self._maps.set(zmq.LINGER, 0)
        self._maps.set(zmq.MAXMSGSIZE, wire.MAX_ARRAY_BYTES)
        for topic in (b"scan", b"map/", b"curve/", b"contents", b"status"):
            self._maps.set(zmq.SUBSCRIBE, topic)
        self._maps.connect(maps_endpoint)
        self._scan: Scan | None = None
        self._specs: dict[str, MapSpec] = {}
        self._values: dict[str, NDArray[np.float32]] = {}
        self._changed: dict[str, int] = {}
        self._curves: dict[str, Curve] = {}
        self._scree: NDArray[np.float32] | None = None
        self._components = 0
        self._version = 0
        self._snapshot: MapSnapshot | None = None
        self._status: Status | None = None
        self._heard_s = time.monotonic()
        self._earlier: dict[str, MapSnapshot] = {}
        self._stopping = threading.Event()

    def run(self) -> None:
        """Listen until ``stop``; the caller gives this a thread."""
        while not self._stopping.is_set():
            if self._maps.poll(POLL_MS):
                self._drain()
        self._context.destroy(0)

    def stop(self) -> None:
        """End ``run``."""
        self._stopping.set()

    def _drain(self) -> None:
        news = False
        while True:
            try:
                parts = self._maps.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            try:
                news |= self._take(parts)
            except (WireError, msgspec.ValidationError):
                continue
        if news and self._scan is not None:
            self._version += 1
            self._snapshot = MapSnapshot(
                self._scan, self._version, dict(self._specs), dict(self._values),
                dict(self._changed), dict(self._curves), self._scree, self._components,
            )  # fmt: skip

    def _take(self, parts: list[bytes]) -> bool:
        """Read one message; whether it changed what is shown."""
        if parts[0] == b"scan":
            scan = wire.decode(parts)
            if isinstance(scan, Scan) and (self._scan is None or scan.id != self._scan.id):
                self._begin(scan)
            return False
        message = wire.decode_result(parts)
        match message:
            case wire.StatusMessage():
                self._heard_s = time.monotonic()
                self._status = msgspec.convert(message.status, Status, strict=False)
                return False
            case wire.MapMessage() if self._scan is not None and message.scan == self._scan.id:
                if tuple(message.shape) != (self._scan.shape or (1,)):
                    raise WireError("a map of another shape than its scan")
                self._specs[message.name] = message.spec
                self._values[message.name] = np.array(message.values)
                self._changed[message.name] = self._version + 1
                return True
            case wire.CurveMessage() if self._scan is not None and message.scan == self._scan.id:
                axis = EnergyAxis(message.offset_ev, message.dispersion_ev, message.shape[1])
                self._curves[message.name] = Curve(
                    axis, np.array(message.values), tuple(message.labels), message.unit
                )
                return True
            case wire.ContentsMessage() if self._scan is not None and message.scan == self._scan.id:
                return self._keep(message)
        return False

    def _keep(self, message: wire.ContentsMessage) -> bool:
        """Drop what exists no more, and take the variances."""
        gone = self._values.keys() - set(message.maps)
        for name in gone:
            for part in (self._specs, self._values, self._changed):
                part.pop(name, None)
        old = self._curves.keys() - set(message.curves)
        for name in old:
            del self._curves[name]
        scree = np.array(message.scree, np.float32) if message.scree else None
        before = [] if self._scree is None else self._scree.tolist()
        moved = before != ([] if scree is None else scree.tolist())
        self._scree, self._components = scree, message.components
        return bool(gone or old) or moved

    def _begin(self, scan: Scan) -> None:
        if self._snapshot is not None:
            self._earlier[self._snapshot.scan.id] = self._snapshot
            for scan_id in list(self._earlier)[:-HISTORY]:
                del self._earlier[scan_id]
        self._scan = scan
        self._specs, self._values, self._changed, self._curves = {}, {}, {}, {}
        self._scree, self._components = None, 0

    # What the page asks

    def snapshot(self) -> MapSnapshot | None:
        """Newest maps."""
        return self._snapshot

    def status(self) -> Status:
        """The engine's last word, with an alarm where it has been silent since."""
        silent_s = time.monotonic() - self._heard_s
        status = self._status or Status(state="waiting", version=__version__)
        if silent_s > QUIET_S:
            alarm = f"the engine has been silent for {silent_s:.0f} s"
            return msgspec.structs.replace(
                status, state="stalled", alarms=[*status.alarms, alarm], age_s=silent_s
            )
        return status

    def history(self) -> list[dict[str, Any]]:
        """Scans seen since the page is served."""
        newest = {self._snapshot.scan.id: self._snapshot} if self._snapshot else {}
        shown = (self._earlier | newest).values()
        return [
            {
                "id": s.scan.id, "title": s.scan.title, "number": i + 1,
                "shape": list(s.scan.shape), "state": "", "path": "",
            }
            for i, s in enumerate(shown)
        ]  # fmt: skip

    def snapshot_of(self, scan_id: str) -> MapSnapshot | None:
        """Last maps of a scan seen since the page is served."""
        if self._snapshot is not None and self._snapshot.scan.id == scan_id:
            return self._snapshot
        return self._earlier.get(scan_id)

    def spectrum(self, pixels: NDArray[np.int64], scan_id: str | None = None) -> SpectrumAnswer:
        """Mean spectrum of some pixels."""
        if len(pixels) > MAX_PIXELS:
            pixels = pixels[np.linspace(0, len(pixels) - 1, MAX_PIXELS).astype(int)]
        reply = self._asked(GetSpectrum(pixels=pixels.tolist(), scan=scan_id))
        if not isinstance(reply, Spectrum):
            raise LookupError("the engine did not answer with a spectrum")
        return spectrum_from(reply)

    def window_map(
        self,
        signal_ev: tuple[float, float],
        fit_ev: tuple[float, float] | None,
        scan_id: str | None = None,
    ) -> NDArray[np.float32]:
        """Map of a window."""
        reply = self._asked(GetWindowMap(signal_ev=signal_ev, fit_ev=fit_ev, scan=scan_id))
        if not isinstance(reply, WindowMap):
            raise LookupError("the engine did not answer with a map")
        return np.frombuffer(reply.values, "<f4").reshape(reply.shape).astype(np.float32)

    def command(self, command: Command) -> Reply:
        """Pass a command on."""
        try:
            return ask(self._control, command)
        except (EngineGone, ControlError) as error:
            return Refused(error=str(error))

    def _asked(self, command: Command) -> Reply:
        reply = self.command(command)
        if isinstance(reply, Refused):
            raise LookupError(reply.error)
        return reply
