"""An offline segmentation beside the running engine, in a process of its own.

The worker opens the recording as any reader does and runs at low priority, so neither the
stream nor the live view waits for it. Its maps come back over a pipe.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose_settings import DecomposeSettings
from live_eels.io.reader import open_recording
from live_eels.preprocess_settings import PreprocessSettings

if TYPE_CHECKING:
    from live_eels.refine import Refined

Settings = tuple[PreprocessSettings, DecomposeSettings, ClusterSettings]


class Refining:
    """One refinement in progress.

    Parameters
    ----------
    path
        The recording.
    methods, clusters
        As for `refine`.
    settings
        Of preprocessing, decomposition and clustering.
    done
        Called with the result, on a thread of its own.
    failed
        Called with the reason instead.

    Attributes
    ----------
    stage, share
        What the worker does and how much of it is done, 0 to 1.
    """

    def __init__(
        self,
        path: Path,
        methods: Sequence[str],
        clusters: int | None,
        settings: Settings,
        done: Callable[[Refined], None],
        failed: Callable[[str], None],
    ) -> None:
        self.name = ", ".join(methods)
        self.stage, self.share = "starting", 0.0
        self.running = True
        self._done, self._failed = done, failed
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_work, args=(theirs, path, tuple(methods), clusters, settings), daemon=True
        )
        self._process.start()
        theirs.close()
        threading.Thread(target=self._listen, name="refine", daemon=True).start()

    def stop(self) -> None:
        """End the worker; nothing is called afterwards."""
        self.running = False
        self._process.terminate()
        self._process.join()

    def _listen(self) -> None:
        answer: Refined | str = "the worker ended before it was done"
        with contextlib.suppress(EOFError, OSError):
            while isinstance(item := self._pipe.recv(), tuple):
                self.stage, self.share = item
            answer = item
        self._pipe.close()
        self._process.join()
        if not self.running:
            return
        self.running = False
        if isinstance(answer, str):
            self._failed(answer)
        else:
            self._done(answer)


def _work(
    pipe: Connection,
    path: Path,
    methods: tuple[str, ...],
    clusters: int | None,
    settings: Settings,
) -> None:
    from live_eels.refine import refine

    if hasattr(os, "nice"):
        os.nice(10)
    preprocess, decompose, cluster = settings
    try:
        with open_recording(path) as recording:
            refined = refine(
                recording,
                methods,
                clusters=clusters,
                preprocess=preprocess,
                decompose=decompose,
                cluster=cluster,
                progress=lambda stage, share: pipe.send((stage, share)),
            )
        pipe.send(refined)
    except Exception as error:  # whatever it was, the user is told
        pipe.send(str(error) or type(error).__name__)
