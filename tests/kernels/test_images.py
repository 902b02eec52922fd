import numpy as np
import pytest

from live_eels.kernels.images import add_rows
from reference import images as plain


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("some_dead", [False, True])
def test_sums_equal_the_plain_twin(dtype, some_dead):
    rng, most = np.random.default_rng(0), np.iinfo(dtype).max
    image = rng.integers(0, most, (9, 70), dtype, endpoint=True)
    image[rng.random(image.shape) < 0.1] = most  # masked by the detector
    dead = rng.random(image.shape) < 0.2 if some_dead else np.zeros((0, 0), bool)
    for rows, channels in (((0, 9), (0, 70)), ((2, 5), (3, 66)), ((8, 9), (69, 70))):
        out = np.full(channels[1] - channels[0], 77, np.uint32)
        total = np.full(len(out), 77, np.uint64 if dtype is np.uint32 else np.uint32)
        add_rows(image, dead, *rows, channels[0], dtype(most), total, out)
        expected = plain.add_rows(image, dead, rows, channels)
        assert out.tolist() == [min(counts, 2**32 - 1) for counts in expected]


def test_images_that_cannot_be_written_to_are_read():
    image = np.frombuffer(np.arange(12, dtype="<u2").tobytes(), "<u2").reshape(3, 4)
    out = np.empty(4, np.uint32)
    total = np.empty(4, np.uint32)
    add_rows(image, np.zeros((0, 0), bool), 0, 3, 0, np.uint16(65535), total, out)
    assert out.tolist() == [12, 15, 18, 21]


def test_the_most_that_any_row_and_number_of_rows_can_hold():
    image = np.full((65_536, 1), 65_534, np.uint16)  # one more count is "masked"
    total, out = np.empty(1, np.uint32), np.empty(1, np.uint32)
    add_rows(image, np.zeros((0, 0), bool), 0, len(image), 0, np.uint16(65535), total, out)
    assert out.tolist() == [65_536 * 65_534]
