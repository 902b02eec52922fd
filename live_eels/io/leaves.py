"""Single values of an HDF5 file that may lie: typed, bounded, or not there.

Lives here: attributes and small datasets. Nothing is ever unpickled.
"""

from __future__ import annotations

import math
from typing import Any

import h5py
import msgspec
import numpy as np
from numpy.typing import NDArray

MAX_TEXT_BYTES = 1 << 22


def leaf(node: Any, *names: str) -> Any:
    """Attribute ``names[-1]`` of the group that the other names lead to; None if there is none."""
    for name in names[:-1]:
        node = node.get(name) if isinstance(node, h5py.Group) else None
    return node.attrs.get(names[-1]) if isinstance(node, h5py.Group) else None


def text(value: Any) -> str:
    """Text of an attribute; empty where there is none, or HyperSpy's word for none."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) and value not in ("_None_", "<undefined>") else ""


def number(value: Any, default: float) -> float:
    """Read a finite number of the file, else ``default``."""
    found = known(value)
    return default if found is None else found


def known(value: Any) -> float | None:
    """Read a finite number of the file, else None."""
    try:
        found = float(np.asarray(value).item())
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def array(node: Any, dtype: np.dtype[Any], max_bytes: int) -> NDArray[Any] | None:
    """Read a dataset of just this type and at most so many bytes, else None."""
    if not isinstance(node, h5py.Dataset) or node.dtype != dtype or node.nbytes > max_bytes:
        return None
    return np.asarray(node[()])


def string(node: Any) -> str | None:
    """Read a dataset that is one text of at most `MAX_TEXT_BYTES`, else None."""
    if not isinstance(node, h5py.Dataset) or node.shape != () or node.dtype.kind != "O":
        return None
    if h5py.check_string_dtype(node.dtype) is None:
        return None
    value = node[()]
    content = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return content if len(content) <= MAX_TEXT_BYTES else None


def from_json(node: Any, kind: Any) -> Any:
    """Read a text that holds ``kind`` as JSON; None if there is no text.

    Raises
    ------
    msgspec.MsgspecError
        If it holds something else.
    """
    content = string(node)
    return None if content is None else msgspec.json.decode(content, type=kind)
