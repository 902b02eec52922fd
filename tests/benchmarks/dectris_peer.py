"""Our full chain beside libertem-live's bare sum, on the same DECTRIS stream.

Run ``python tests/benchmarks/dectris_peer.py [--rows 64] [--images 16384] [--turns 3]``; needs
``pip install libertem-live hdf5plugin`` and the ``dectris`` extra. A process sends a series
(SIMPLON stream version 1, bitshuffle-LZ4, 16 bits) as fast as it is taken; ours sums the rows of
each image into a spectrum, records, aligns, learns, clusters, labels and maps it; theirs adds the
images up. Images per second by the clock, from the first that is sent to the last that is done.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import zmq

sys.path.insert(0, str(Path(__file__).parents[1]))

CHANNELS, SERIES, DIFFERENT = 1030, 1, 256
COUNTS = 3.0  # in each pixel of the detector under the edge


def frames(rows: int) -> list[bytes]:
    """Images of a Mn L edge on a falling background, compressed as the detector does it."""
    import h5py
    import hdf5plugin

    rng = np.random.default_rng(0)
    energy = 560.0 + 0.2 * np.arange(CHANNELS)
    mean = COUNTS * (energy / 560.0) ** -3
    for at, area in ((642.0, 6.0), (653.0, 2.5)):
        mean += area * np.exp(-0.5 * ((energy - at) / 1.2) ** 2)
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        data = file.create_dataset(
            "d", (DIFFERENT, rows, CHANNELS), "<u2", chunks=(1, rows, CHANNELS),
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )  # fmt: skip
        for i in range(DIFFERENT):
            data[i] = rng.poisson(mean, (rows, CHANNELS))
        return [data.id.read_direct_chunk((i, 0, 0))[1] for i in range(DIFFERENT)]


def send(rows: int, images: int, answer: Connection) -> None:
    """Bind, tell where, and send a series each time one is asked for."""
    blobs = frames(rows)
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.set(zmq.SNDHWM, 256)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        answer.send(port)
        while True:
            number = answer.recv()
            if number is None:
                return
            _send_series(socket, blobs, (rows, CHANNELS), images, number)
            answer.send("sent")


def _send_series(
    socket: zmq.Socket[bytes], blobs: list[bytes], shape: tuple[int, int], images: int, series: int
) -> None:
    config = {
        "nimages": images, "ntrigger": 1, "count_time": 1e-4, "frame_time": 1e-4,
        "trigger_mode": "exts", "bit_depth_image": 16, "bit_depth_readout": 16,
        "x_pixels_in_detector": shape[1], "y_pixels_in_detector": shape[0],
        "compression": "bslz4", "countrate_correction_count_cutoff": 65535,
        "detector_translation": [0.0, 0.0, 0.0], "beam_center_x": 0.0, "beam_center_y": 0.0,
        "detector_number": "peer", "photon_energy": 2e5, "sensor_thickness": 0.0,
    }  # fmt: skip
    header = {"htype": "dheader-1.0", "series": series, "header_detail": "basic"}
    socket.send_multipart([json.dumps(header).encode(), json.dumps(config).encode()])
    times = b'{"htype": "dconfig-1.0", "start_time": 0, "stop_time": 1, "real_time": 1}'
    for number in range(images):
        blob = blobs[number % len(blobs)]
        image = {"htype": "dimage-1.0", "series": series, "frame": number, "hash": "x"}
        data = {"htype": "dimage_d-1.0", "shape": [shape[1], shape[0]], "type": "uint16",
                "encoding": "bs16-lz4<", "size": len(blob)}  # fmt: skip
        parts = [json.dumps(image).encode(), json.dumps(data).encode(), blob, times]
        socket.send_multipart(parts, copy=False)
    socket.send_multipart([json.dumps({"htype": "dseries_end-1.0", "series": series}).encode()])


class Sender:
    """The sending process, and its port."""

    def __init__(self, rows: int, images: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=send, args=(rows, images, there), daemon=True)
        self._process.start()
        self.port: int = self._here.recv()

    def begin(self, series: int) -> None:
        """Send a series."""
        self._here.send(series)

    def close(self) -> None:
        """End the process."""
        self._here.send(None)
        self._process.join()


def ours(rows: int, images: int, turns: int) -> list[float]:
    """Images per second of the whole engine, recording."""
    from live_eels.app.engine import Engine
    from live_eels.config import parse

    sender, side = Sender(rows, images), round(images**0.5)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        config = parse(
            f"""
            [stream]
            endpoint = "tcp://127.0.0.1:{sender.port}"
            pattern = "PULL"
            format = "dectris"
            [record]
            folder = '{folder}'
            [publish]
            endpoint = "tcp://127.0.0.1:*"
            [control]
            endpoint = ""
            [view]
            enabled = false
            [dectris]
            core = {{offset_ev = 560.0, dispersion_ev = 0.2}}
            navigation = [{{name = "y", size = {side}}}, {{name = "x", size = {side}}}]
            """
        )
        engine = Engine(config)
        engine.start()
        engine.analyse.ask(lambda: None).result()
        for turn in range(turns + 1):  # the first is not counted
            start = time.perf_counter()
            sender.begin(SERIES + turn)
            session = engine.current
            while session is None or session.number != turn + 1 or session.analysed < images:
                time.sleep(0.002)
                session = engine.current
            found.append(images / (time.perf_counter() - start))
            while not session.finished:
                time.sleep(0.01)
            assert session.counters.missing_messages == 0
            assert session.recorded == images
        engine.stop()
    sender.close()
    return found[1:]


def theirs(rows: int, images: int, turns: int) -> list[float]:
    """Images per second of libertem-live adding them up."""
    from libertem.udf.sum import SumUDF
    from libertem_live.api import LiveContext
    from libertem_live.detectors.dectris import connection
    from libertem_live.detectors.dectris.acquisition import DectrisAcquisition
    from libertem_live.detectors.dectris.common import DetectorConfig

    # There is no detector to be asked for its settings.
    connection.DectrisDetectorConnection._ensure_basic_settings = lambda self: None
    DectrisAcquisition.get_detector_config = lambda self: DetectorConfig(CHANNELS, rows, 16)
    sender, side = Sender(rows, images), round(images**0.5)
    found, sums = [], []
    with LiveContext() as context, context.make_connection("dectris").open(
        api_host="127.0.0.1", api_port=1, data_host="127.0.0.1", data_port=sender.port,
        buffer_size=1024, bytes_per_frame=rows * CHANNELS,
    ) as live:  # fmt: skip
        for turn in range(turns + 1):
            start = time.perf_counter()
            sender.begin(SERIES + turn)
            pending = live.wait_for_acquisition(timeout=20)
            scan = context.make_acquisition(conn=live, nav_shape=(side, side), pending_aq=pending)
            result: Any = context.run_udf(dataset=scan, udf=SumUDF())
            found.append(images / (time.perf_counter() - start))
            sums.append(float(np.asarray(result["intensity"].data, np.float64).sum()))
    sender.close()
    assert len(set(sums)) == 1
    assert sums[0] > 0
    return found[1:]


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--images", type=int, default=16_384)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    side = round(arguments.images**0.5)
    if side**2 != arguments.images:
        parser.error("--images must be a square number")
    for name, run in (("live_eels, whole chain", ours), ("libertem-live, sum", theirs)):
        rates = run(arguments.rows, arguments.images, arguments.turns)
        each = ", ".join(f"{rate:,.0f}" for rate in rates)
        what = f"images of {CHANNELS} x {arguments.rows} per second"
        print(f"{name}: {statistics.median(rates):,.0f} {what} ({each})", flush=True)


if __name__ == "__main__":
    main()
