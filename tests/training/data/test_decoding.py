import numpy as np
import pytest
from PIL import Image

from training.data.decoding import read_image
from training.errors import DatasetError


def test_an_image_is_brought_to_its_size_in_colour(tmp_path):
    pixels = np.array([[0, 100], [100, 200]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    image = read_image(tmp_path / "grey.png", (4, 2))
    assert image.shape == (4, 2, 3)
    assert image[:, :, 0].tolist() == image[:, :, 2].tolist() == [[0, 100], [25, 125], [75, 175], [100, 200]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"no image", "not an image of a known format"), (None, "No such file or directory")],
)
def test_the_reason_does_not_repeat_the_path(tmp_path, content, reason):
    path = tmp_path / "x.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        read_image(path, (4, 4))
    assert str(caught.value) == reason


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(DatasetError, match=r"^Is a directory$"):
        read_image(tmp_path, (4, 4))


def test_an_image_cut_short_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.jpg")
    content = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match="truncated"):
        read_image(tmp_path / "x.jpg", (4, 4))


def test_an_image_too_large_to_read_is_refused(tmp_path, monkeypatch):
    Image.new("RGB", (6, 4)).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    with pytest.raises(DatasetError, match=r"^Image size \(24 pixels\) exceeds limit"):
        read_image(tmp_path / "x.png", (4, 4))


@pytest.mark.parametrize("error", [RuntimeError("broken"), OverflowError("broken"), IndexError("broken")])
def test_whatever_a_decoder_trips_over_is_a_reason(tmp_path, monkeypatch, error):
    def trip(path):
        raise error

    monkeypatch.setattr(Image, "open", trip)
    with pytest.raises(DatasetError, match=r"^broken$"):
        read_image(tmp_path / "x.avif", (4, 4))


def test_16_bit_grey_is_scaled_not_clipped(tmp_path):
    pixels = np.array([[0, 256, 0x7FFF, 0xFFFF]], dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png", (1, 4))[0, :, 0].tolist() == [0, 1, 127, 255]


def test_a_photograph_taken_sideways_is_turned_upright(tmp_path):
    image = Image.fromarray(np.array([[0, 0, 255, 255]] * 2, dtype=np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    image.save(tmp_path / "sideways.png", exif=exif)
    assert read_image(tmp_path / "sideways.png", (4, 2))[:, 0, 0].tolist() == [0, 0, 255, 255]
