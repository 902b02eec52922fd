"""The answer to one question of the doctor's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "timeout", "warn", "error"]


@dataclass(frozen=True, slots=True)
class Check:
    """One question, what was found, and what to do about it (empty where all is well)."""

    name: str
    state: State
    detail: str
    advice: str = ""


def thousands(value: float) -> str:
    """Write a whole number with thin groups: ``12 345``."""
    return f"{value:,.0f}".replace(",", " ")
