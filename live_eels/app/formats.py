"""Which bytes mean what: the decoder that the configuration asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from live_eels import wire
from live_eels.app.receive import Decode
from live_eels.config import Config, ConfigError
from live_eels.sources.dectris import DectrisDecoder
from live_eels.sources.karabo import KaraboDecoder
from live_eels.spectra import Scan, ScanEnd, Spectra


def decoder(config: Config) -> Decode:
    """Make the decoder of ``stream.format``.

    Raises
    ------
    ConfigError
        If the section that describes a foreign format is missing, or the optional packages.
    """
    match config.stream.format:
        case "live_eels":
            return _own
        case "dectris":
            if config.dectris is None:
                raise ConfigError(_missing("dectris"))
            try:
                return DectrisDecoder(config.dectris).decode
            except ImportError as error:  # the optional packages are not installed
                raise ConfigError(str(error)) from error
        case "karabo":
            if config.karabo is None:
                raise ConfigError(_missing("karabo"))
            return KaraboDecoder(config.karabo).decode


def _own(parts: Sequence[memoryview]) -> Iterable[Scan | Spectra | ScanEnd]:
    return (wire.decode(parts),)


def _missing(name: str) -> str:
    return (
        f'stream.format = "{name}" needs a section [{name}] with the scan shape and the energy '
        f"calibration, which that stream does not carry; `live-eels config new --source {name}` "
        "writes one"
    )
