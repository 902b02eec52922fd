"""Commands to a running engine, and its replies: typed, as JSON.

Lives here: one frozen type per command and reply, and the two functions between them
and bytes. Knows no socket. JSON rather than msgpack, so that a control system in any
language, a browser and a person with a terminal can all write it.

A command is an object with a ``command`` field naming it (``{"command": "status"}``);
a reply is an object with a ``reply`` field: ``ok``, ``refused``, or what was asked for.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MAX_COMMAND_BYTES = 64 * 1024
"""A command is never longer; a longer one is refused unread."""


Energy = Annotated[float, Meta(ge=-1e6, le=1e6)]
Index = Annotated[int, Meta(ge=0, le=2**53)]
PlainName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f/\\]+\Z")]
"""A name that is good in a file, a topic and a terminal: no slash, no control character."""


class ControlError(Exception):
    """A command that cannot be read or obeyed: the sender's fault."""


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


def _rising(what: str, window_ev: tuple[float, float]) -> None:
    if not window_ev[0] < window_ev[1]:
        raise ValueError(f"{what}: {window_ev[0]:g} to {window_ev[1]:g} eV is no window")


class _Command(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="command",
    tag=_snake,
):
    """What all commands share: their name in the ``command`` field."""


class GetStatus(_Command, frozen=True, tag="status"):
    """Ask for the engine's status."""


class Stop(_Command, frozen=True):
    """Finish the recording and end the engine."""


class Record(_Command, frozen=True):
    """Keep the recording of the scan in progress and the next ones (or not)."""

    on: bool


class SetClusters(_Command, frozen=True):
    """Use ``k`` clusters from now on, or let the engine choose with None."""

    k: Annotated[int, Meta(ge=2, le=64)] | None


class SetComponents(_Command, frozen=True):
    """Show ``n`` principal components, or let the noise floor choose with None."""

    n: Annotated[int, Meta(ge=1, le=64)] | None


class SetModel(_Command, frozen=True):
    """Label with another model: a shipped name or a path. Earlier pixels are relabelled."""

    model: Annotated[str, Meta(min_length=1, max_length=4096)]


class SetWindow(_Command, frozen=True):
    """Analyse another energy window; PCA and clusters start anew over all pixels so far."""

    low_ev: Energy
    high_ev: Energy

    def __post_init__(self) -> None:
        _rising("low_ev to high_ev", (self.low_ev, self.high_ev))


class AddWindowMap(_Command, frozen=True):
    """Add a map: counts in ``signal_ev`` less the background fitted in ``fit_ev``."""

    name: PlainName
    signal_ev: tuple[Energy, Energy]
    fit_ev: tuple[Energy, Energy] | None = None

    def __post_init__(self) -> None:
        _rising("signal_ev", self.signal_ev)
        if self.fit_ev is not None:
            _rising("fit_ev", self.fit_ev)


class Refine(_Command, frozen=True):
    """Run an offline segmentation over the scan so far, in a worker."""

    method: Annotated[str, Meta(min_length=1, max_length=32)]
    clusters: Annotated[int, Meta(ge=2, le=64)] | None = None


class MarkRegion(_Command, frozen=True):
    """Tell control software about a region: sent out as an event, and noted in the recording.

    ``request`` is ``note``, ``scan_again`` or ``dwell_longer``.
    """

    request: Literal["note", "scan_again", "dwell_longer"]
    pixels: Annotated[list[Index], Meta(max_length=4096)] = []
    corner: tuple[Index, Index] | None = None
    size: tuple[Index, Index] | None = None
    text: Annotated[str, Meta(max_length=2000, pattern=r"^[^\x00]*\Z")] = ""


class GetSpectrum(_Command, frozen=True):
    """Ask for the mean spectrum of some pixels (flat indices), raw and processed."""

    pixels: Annotated[list[Index], Meta(min_length=1, max_length=8192)]
    scan: Annotated[str, Meta(max_length=64)] | None = None


class GetWindowMap(_Command, frozen=True):
    """Ask for a map of counts in ``signal_ev`` less the background fitted in ``fit_ev``."""

    signal_ev: tuple[Energy, Energy]
    fit_ev: tuple[Energy, Energy] | None = None
    scan: Annotated[str, Meta(max_length=64)] | None = None

    def __post_init__(self) -> None:
        _rising("signal_ev", self.signal_ev)
        if self.fit_ev is not None:
            _rising("fit_ev", self.fit_ev)


Command = (
    GetStatus
    | GetSpectrum
    | GetWindowMap
    | Stop
    | Record
    | SetClusters
    | SetComponents
    | SetModel
    | SetWindow
    | AddWindowMap
    | Refine
    | MarkRegion
)


class StageTime(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of a chunk goes."""

    stage: str
    us_per_spectrum: float
    share: float


class Status(msgspec.Struct, frozen=True, kw_only=True, tag_field="reply", tag="status"):
    """The state of the engine at one moment: what the status strip, ``status`` and PUB show.

    Pixel counts are of the current scan. ``lost`` names pixels that never came as runs (first,
    one after the last; at most 1024 runs, ``pixels_lost`` counts all), ``dead_channels`` counts
    channels that are bridged, ``controllers`` subscribers that hear events.
    ``component_angles_deg`` tells of each component how far from the true one it is expected to
    lie. ``recolouring`` counts pixels that change their cluster with one of the next maps.
    ``state`` is
    ``waiting`` (no scan yet), ``scanning``, ``stalled`` (no data for 5 dwells or 3 s),
    ``catching_up`` (beam done, analysis not), ``complete``, ``aborted``, ``lost`` or ``stopped``.
    """

    state: str
    version: str
    scan_id: str = ""
    title: str = ""
    scan_number: int = 0
    shape: list[int] = []
    pixels_total: int = 0
    pixels_received: int = 0
    pixels_recorded: int = 0
    pixels_analysed: int = 0
    visits: int = 0
    passes: int = 1
    spectra_per_s: float = 0.0
    analysed_per_s: float = 0.0
    eta_s: float | None = None
    elapsed_s: float = 0.0
    age_s: float | None = None
    lag_ms: float | None = None
    lag_p95_ms: float | None = None
    messages: int = 0
    gaps: int = 0
    missing_messages: int = 0
    duplicates: int = 0
    late: int = 0
    wire_errors: int = 0
    orphans: int = 0
    unpaired: int = 0
    shed: int = 0
    owed: int = 0
    spikes: int = 0
    saturated: int = 0
    no_zlp: int = 0
    pixels_lost: int = 0
    lost: list[tuple[int, int]] = []
    dead_channels: int = 0
    controllers: int = 0
    queue: dict[str, float] = {}
    stages: list[StageTime] = []
    recording: bool = False
    recording_path: str = ""
    recording_bytes: int = 0
    recording_complete: bool = True
    disk_left_s: float | None = None
    model: str = ""
    clusters: int = 0
    recolouring: int = 0
    components: int = 0
    component_angles_deg: list[float] = []
    label_fractions: dict[str, float] = {}
    zlp_ev: float | None = None
    snapshot_version: int = 0
    alarms: list[str] = []
    faults: dict[str, int] = {}
    endpoint: str = ""
    refine: str = ""
    refine_progress: float | None = None


class Ok(msgspec.Struct, frozen=True, kw_only=True, tag_field="reply", tag="ok"):
    """The command was carried out; ``message`` says what that means, for a person."""

    message: str


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag_field="reply", tag="refused"):
    """The command was not carried out; ``error`` says why and what would work."""

    error: str


class Spectrum(msgspec.Struct, frozen=True, kw_only=True, tag_field="reply", tag="spectrum"):
    """Mean spectrum of the pixels asked for.

    Curves are little-endian float32 (base64 in JSON): ``raw`` and ``error`` on the axis
    ``offset_ev``, ``dispersion_ev``; the others on the processed axis, nan outside the window.
    """

    offset_ev: float
    dispersion_ev: float
    raw: bytes
    n: int
    asked: int
    visits: int = 0
    note: str = ""
    error: bytes | None = None
    processed_offset_ev: float | None = None
    processed: bytes | None = None
    background: bytes | None = None
    signal: bytes | None = None


class WindowMap(msgspec.Struct, frozen=True, kw_only=True, tag_field="reply", tag="window_map"):
    """A map of a window: little-endian float32 of this shape (base64 in JSON)."""

    shape: list[int]
    values: bytes


Reply = Ok | Refused | Status | Spectrum | WindowMap

_commands: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def decode(data: bytes | memoryview) -> Command:
    """Read one command.

    Raises
    ------
    ControlError
        If it is too long, not JSON, or not a command; the message says which field.
    """
    if len(data) > MAX_COMMAND_BYTES:
        raise ControlError(f"a command has at most {MAX_COMMAND_BYTES} bytes, this one {len(data)}")
    try:
        return _commands.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ControlError(str(error)) from error


def encode(reply: Reply | Command) -> bytes:
    """Write a reply (or, on the asking side, a command) as JSON."""
    return msgspec.json.encode(reply)


def decode_reply(data: bytes | memoryview) -> Reply:
    """Read an engine's reply: ``Ok``, ``Refused``, or what was asked for."""
    try:
        return _replies.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ControlError(f"the engine's reply cannot be read: {error}") from error
