"""Is this computer fit, and can it hear the sender? Asked before the beam time.

Lives here: which questions are asked, in order; ``computer`` asks about this machine,
``connections`` about what listens and what is heard. Nothing is changed on the computer; the
folder for recordings is written to and cleaned up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from live_eels.config import Config
from live_eels.doctor import computer, connections
from live_eels.doctor.check import Check, State
from live_eels.spectra import Scan

__all__ = ["Check", "State", "checks", "doctor"]


def doctor(config: Config | None = None, *, wait_s: float = 5.0) -> list[Check]:
    """Ask everything.

    Parameters
    ----------
    config
        The set-up to examine; None: the computer alone, with default settings.
    wait_s
        How long to listen for the sender (only with a configuration).
    """
    return list(checks(config, wait_s=wait_s))


def checks(config: Config | None = None, *, wait_s: float = 5.0) -> Iterator[Check]:
    """Ask everything, one answer after the other; see ``doctor``."""
    settings = config or Config()
    scan: list[Scan] = []
    questions: list[tuple[str, Callable[[], Check]]] = [
        ("python", computer.python),
        ("computer", lambda: computer.memory(settings)),
        ("kernels", lambda: computer.kernels(settings)),
        ("speed", lambda: computer.speed(settings)),
        ("models", lambda: computer.models(settings)),
        ("disk", lambda: computer.disk(settings)),
        ("page", connections.page),
        ("ports", lambda: connections.ports(settings)),
        ("engine", lambda: connections.engine(settings)),
        ("zeromq", lambda: connections.zeromq(settings)),
    ]
    if config is not None:
        questions += [
            ("stream", lambda: connections.stream(config, wait_s, scan)),
            ("fit", lambda: connections.fit(config, scan)),
        ]
    for name, ask in questions:
        try:
            yield ask()
        except Exception as error:  # a question that fails is an answer
            yield Check(
                name,
                "error",
                f"{type(error).__name__}: {error}",
                "Not expected; please report it with this line.",
            )
