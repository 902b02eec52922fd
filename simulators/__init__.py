"""The spectrometer that isn't there: specimens, physics, detector, scan, faults, with the truth.

    >>> from live_eels.simulators.acquire import Acquisition
    >>> from live_eels.simulators.scene import load_scene
    >>> acquisition = Acquisition(load_scene("core_shell"), seed=1)
    >>> acquisition.truth.maps["label"].shape
    (64, 64)

Needs numpy, msgspec, pyzmq. The physics behind the shipped tables needs the extra ``physics``,
pictures the extra ``plots``.
"""
