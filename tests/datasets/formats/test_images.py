from __future__ import annotations

import re
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from nnscratch.datasets.formats import images, picture_costs
from nnscratch.datasets.formats.images import Room, quiet_pillow, read_picture
from nnscratch.errors import DataError

COLOURS = np.array(
    [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]], [[10, 20, 30], [0, 0, 0]]], np.uint8
)  # 3 rows, 2 columns


def saved(path: Path, pixels: np.ndarray = COLOURS, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)  # type: ignore[arg-type]  # options of any writer
    return path


def read_image(path: Path, height: int, width: int, channels: int, white: float | None = None) -> np.ndarray:
    with quiet_pillow():
        return read_picture(path, height, width, channels, white).pixels


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_a_lossless_picture_comes_back_pixel_by_pixel(tmp_path: Path, suffix: str) -> None:
    assert np.array_equal(read_image(saved(tmp_path / f"a{suffix}"), 3, 2, 3), COLOURS)


def test_lossless_webp_comes_back_pixel_by_pixel(tmp_path: Path) -> None:
    assert np.array_equal(read_image(saved(tmp_path / "a.webp", lossless=True), 3, 2, 3), COLOURS)


def test_a_jpeg_comes_back_about_right(tmp_path: Path) -> None:
    pixels = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    read = read_image(saved(tmp_path / "a.jpg", pixels, quality=95), 16, 16, 3)
    assert np.abs(read.astype(int) - pixels).max() <= 4


def test_a_palette_and_a_gif_come_back(tmp_path: Path) -> None:
    picture = Image.fromarray(COLOURS).quantize(8)
    for name in ("a.gif", "a.png"):
        picture.save(tmp_path / name)
        assert np.array_equal(read_image(tmp_path / name, 3, 2, 3), np.asarray(picture.convert("RGB")))


def test_transparency_shows_white(tmp_path: Path) -> None:
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = (0, 255, 128)  # black: transparent, opaque, half
    assert read_image(saved(tmp_path / "a.png", pixels), 1, 3, 3)[0, :, 0].tolist() == [255, 0, 127]


def test_a_transparent_palette_colour_shows_white(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([0, 0, 0, 9, 9, 9])
    picture.putdata([0, 1])
    picture.save(tmp_path / "a.png", transparency=0)
    assert read_image(tmp_path / "a.png", 1, 2, 1)[0, :, 0].tolist() == [255, 9]


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    pixels = np.array([[0, 257, 32896, 65535]], np.uint16)
    assert read_image(saved(tmp_path / "a.png", pixels), 1, 4, 1)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_twelve_bits_in_sixteen_are_not_black(tmp_path: Path) -> None:
    pixels = np.array([[0, 2048, 4095]], np.uint16)
    assert read_image(saved(tmp_path / "a.png", pixels), 1, 3, 1)[0, :, 0].tolist() == [0, 128, 255]
    # Beside a brighter picture of the same camera, it keeps its place.
    assert read_image(tmp_path / "a.png", 1, 3, 1, white=65535)[0, :, 0].tolist() == [0, 8, 16]


def deep_row(path: Path, channels: int, *numbers: int) -> Path:
    """A PNG of one row with 16 bits per channel, which Pillow does not write."""
    rows = b"\0" + struct.pack(f">{len(numbers)}H", *numbers)
    header = struct.pack(">IIBBBBB", len(numbers) // channels, 1, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def test_how_opaque_twelve_bits_are_is_not_how_bright(tmp_path: Path) -> None:
    row = deep_row(tmp_path / "a.png", 4, 4080, 0, 2056, 65535, 0, 0, 0, 65535)
    assert read_image(row, 1, 2, 3)[0].tolist() == [[240, 0, 128], [0, 0, 0]]


def fractions(path: Path, *numbers: float) -> Path:
    return saved(path, np.array([numbers], np.float32))


def test_a_number_a_little_above_white_leaves_the_others_their_greys(tmp_path: Path) -> None:
    assert read_image(fractions(tmp_path / "a.tif", 0, 0.5, 1.00001), 1, 3, 1)[0, :, 0].tolist() == [0, 128, 255]
    assert read_image(fractions(tmp_path / "b.tif", 0, 127.5, 255.1), 1, 3, 1)[0, :, 0].tolist() == [0, 128, 255]
    assert read_image(fractions(tmp_path / "c.tif", 0, 2, 2.5), 1, 3, 1)[0, :, 0].tolist() == [0, 204, 255]


@pytest.mark.parametrize(
    ("numbers", "white", "told"),
    [
        ((-1.0, 0.5), None, "pixels from -1 to 0.5; pixels have no negative values"),
        ((-1.0, 0.5), 1.0, "pixels from -1 to 0.5; pixels have no negative values"),
        ((0.0, 65535.0), 4095.0, "pixels from 0 to 65535, where 4095 is white"),
        ((0.0, 1.5), 1.0, "pixels from 0 to 1.5, where 1 is white"),
    ],
)
def test_a_picture_is_not_clipped_to_the_range_of_others(
    tmp_path: Path, numbers: tuple[float, ...], white: float | None, told: str
) -> None:
    picture = read_picture(fractions(tmp_path / "a.tif", *numbers), 1, 2, 1, white)
    with pytest.raises(DataError, match=re.escape(told)):
        picture.compared(tmp_path / "a.tif", white)


@pytest.mark.parametrize(
    ("numbers", "white", "told", "pixels"),
    [
        (
            (0.0, 1000.0, 4166.0, 4095.0),
            4095.0,
            "25.00% of them are brighter, and are taken for white",
            [0, 62, 255, 255],
        ),
        (
            (0.0, 1.6, 3.2, 3.4),
            3.2,
            "3.2 is white, guessed from the pictures of the training: 25.00%",
            [0, 128, 255, 255],
        ),
        (
            (0.0, 0.8, 0.5, 0.0),
            4000.0,
            "where 4000 is white, guessed from the pictures of the training: it is all but",
            [0] * 4,
        ),
        ((0.0, 800.5, 4000.0, 4100.2), 4000.0, "", [0, 51, 255, 255]),
        ((0.0, 0.8, 0.5, 0.0), 3.2, "", [0, 64, 40, 0]),
    ],
)
def test_a_picture_a_little_brighter_than_others_or_much_darker_is_taken_and_that_is_told(
    tmp_path: Path, numbers: tuple[float, ...], white: float, told: str, pixels: list[int]
) -> None:
    picture = read_picture(fractions(tmp_path / "a.tif", *numbers), 1, 4, 1, white)
    assert picture.pixels.ravel().tolist() == pixels
    note = picture.compared(tmp_path / "a.tif", white)
    assert told in note if told else not note


def test_a_run_of_before_takes_numbers_below_0_as_it_was_trained_and_tells(tmp_path: Path) -> None:
    picture = read_picture(fractions(tmp_path / "a.tif", -1, 0, 2), 1, 3, 1, 2.0)
    note = picture.compared(tmp_path / "a.tif", 2.0, may_be_negative=True)
    assert note == "pixels from -1 to 2: those below 0 are black"
    assert picture.pixels.ravel().tolist() == [0, 0, 255]


def test_sixteen_bit_colour_and_fractions_are_read(tmp_path: Path) -> None:
    deep_row(tmp_path / "deep.png", 3, 0, 257, 65535, 2570, 32896, 0, 0, 0, 65535)
    assert read_image(tmp_path / "deep.png", 1, 3, 3)[0].tolist() == [[0, 1, 255], [10, 128, 0], [0, 0, 255]]
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)).save(tmp_path / "f.tiff")
    assert read_image(tmp_path / "f.tiff", 1, 3, 1)[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    "name",
    ["a.jfif", "a.tif", "a.TIFF", "a.ppm", "a.jp2", "a.avif", "a.dib", "a.ico", "a.pcx", "a.sgi", "a.qoi", "a.tga"],
)
def test_every_format_that_pillow_decodes_by_itself_is_read(tmp_path: Path, name: str) -> None:
    pixels = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    kind = {"jfif": "JPEG", "jp2": "JPEG2000", "sgi": "SGI"}.get(name[2:])
    Image.fromarray(pixels).save(tmp_path / name, format=kind)
    assert np.abs(read_image(tmp_path / name, 16, 16, 3).astype(int) - pixels).max() <= 4


def test_a_small_picture_does_not_wait_for_a_huge_one() -> None:
    room, decoded = Room(1024), threading.Event()

    def little() -> None:
        with room.take(4):
            decoded.set()

    with room.take(2000):
        threading.Thread(target=little, daemon=True).start()
        assert decoded.wait(20)


def test_pictures_that_fill_the_room_are_decoded_in_turn_and_small_ones_together() -> None:
    room, inside, most = Room(100), 0, []
    lock = threading.Lock()

    def work(size: int) -> None:
        nonlocal inside
        with room.take(size):
            with lock:
                inside += size
                most.append(inside)
            time.sleep(0.01)
            with lock:
                inside -= size

    threads = [threading.Thread(target=work, args=(size,)) for size in [40, 60, 50, 500, 50, 30, 500, 70]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(together <= 100 or together == 500 for together in most)
    assert max(together for together in most if together < 500) > 70


def test_one_bit_pictures_are_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", 1, 2, 1)[0, :, 0].tolist() == [0, 255]


def test_colour_becomes_grey_by_luminance_and_grey_becomes_colour(tmp_path: Path) -> None:
    grey = read_image(saved(tmp_path / "a.png"), 3, 2, 1)
    assert grey.shape == (3, 2, 1)
    assert grey[0, 0, 0] == 76  # 0.299 * 255
    Image.fromarray(np.array([[7]], np.uint8)).save(tmp_path / "g.png")
    assert read_image(tmp_path / "g.png", 1, 1, 3).tolist() == [[[7, 7, 7]]]


def test_the_exif_orientation_is_obeyed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned a quarter clockwise
    read = read_image(saved(tmp_path / "a.png", exif=exif), 2, 3, 3)
    assert np.array_equal(read, np.rot90(COLOURS, -1))


def test_a_larger_picture_is_averaged(tmp_path: Path) -> None:
    pixels = np.kron(np.array([[0, 200], [100, 40]], np.uint8), np.ones((4, 4), np.uint8))
    assert read_image(saved(tmp_path / "a.png", pixels), 2, 2, 1)[..., 0].tolist() == [[0, 200], [100, 40]]
    assert read_image(tmp_path / "a.png", 1, 1, 1).item() == 85


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [9_000, 60_000, 2**31 - 1])
def test_an_image_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(png_that_claims(side, side))
    with pytest.raises(DataError, match=r"bomb\.png: .* at most 64,000,000"):
        read_image(tmp_path / "bomb.png", 32, 32, 3)


def test_a_picture_of_one_endless_row_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "row.png").write_bytes(png_that_claims(64_000_000, 1))
    with pytest.raises(DataError, match=r"row\.png: .* 65,535 on a side"):
        read_image(tmp_path / "row.png", 32, 32, 3)


BITMAP = struct.pack("<IiiHHIIiiII", 40, 3000, 3000, 1, 8, 1, 0, 0, 0, 256, 0) + bytes(1024)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("digits.ppm", b"P3\n3000 3000\n255\n"),
        ("odd_white.ppm", b"P6\n3000 3000\n100\n"),
        ("a.qoi", b"qoif" + struct.pack(">IIBB", 3000, 3000, 3, 0)),
        ("runs.bmp", b"BM" + struct.pack("<IHHI", 1078, 0, 0, 1078) + BITMAP),
        ("a.ico", struct.pack("<3H4B2H2I", 0, 1, 1, 16, 16, 0, 0, 1, 32, 99, 22) + png_that_claims(3000, 3000)),
        ("bitmap.ico", struct.pack("<3H4B2H2I", 0, 1, 1, 16, 16, 0, 0, 1, 8, 99, 22) + BITMAP),
    ],
)
def test_pictures_whose_pixels_cost_a_microsecond_have_a_bound_of_their_own(
    tmp_path: Path, name: str, head: bytes
) -> None:
    (tmp_path / name).write_bytes(head + bytes(16))
    with pytest.raises(DataError, match=rf"{name}: 3,000 x 3,000|{name}: 3,000 x 1,500") as caught:
        read_image(tmp_path / name, 8, 8, 3)
    assert "at most 4,000,000 of" in str(caught.value)
    assert "save it as PNG" in str(caught.value)


def test_a_jpeg_2000_is_bounded_by_the_memory_that_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.jp2")
    assert read_image(tmp_path / "a.jp2", 8, 8, 3).shape == (8, 8, 3)
    assert 32 * picture_costs.MOST_PIXELS_OF["JPEG2000"] <= images.LARGEST_AT_ONCE
    monkeypatch.setitem(picture_costs.MOST_PIXELS_OF, "JPEG2000", 1599)
    with pytest.raises(DataError, match=r"a\.jp2: 40 x 40 pixels; at most 1,599 of JPEG2000"):
        read_image(tmp_path / "a.jp2", 8, 8, 3)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("comments.ppm", b"P3\n64 64\n255\n" + b"#\n" * 2000 + b"1 " * 64 * 64 * 3, "2,000 comments"),
        ("blank.ppm", b"P3\n4 4\n255\n" + b" " * 99_999 + b"1 " * 48, "bytes for 16 pixels"),
        ("stands.bmp", b"BM" + struct.pack("<IHHI", 1078, 0, 0, 1078) + BITMAP[:4]
         + struct.pack("<ii", 9, 9) + BITMAP[12:] + b"\0\2\0\0" * 99_999, "bytes for 81 pixels"),
        ("tiles.tif", b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 324, 4, 262_145, 0) + bytes(4 * 262_145),
         "a TIFF in 262,145 pieces"),
    ],
)  # fmt: skip
def test_what_costs_a_decoder_more_than_the_pixels_is_bounded_too(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_image(tmp_path / name, 8, 8, 3)


def test_a_jpeg_of_thousands_of_scans_is_refused_and_an_ordinary_progressive_one_is_read(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = tmp_path / "scans.jpg"
    Image.fromarray(pixels).save(file, progressive=True)
    assert read_image(file, 4, 4, 3).shape == (4, 4, 3)
    whole = file.read_bytes()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    file.write_bytes(whole[:-2] + last * 10_000 + whole[-2:])
    with pytest.raises(DataError, match="10,010 scans of 4,096 pixels"):
        read_image(file, 4, 4, 3)


def test_empty_scans_of_a_jpeg_that_is_not_progressive_are_counted_too(tmp_path: Path) -> None:
    file = tmp_path / "scans.jpg"
    Image.new("RGB", (64, 64)).save(file, subsampling=0)
    head = file.read_bytes().partition(b"\xff\xda")[0]
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 0, 63, 0)  # of component 1 alone
    file.write_bytes(head + scan * 10_000 + b"\xff\xd9")
    with pytest.raises(DataError, match="10,000 scans of 4,096 pixels"):
        read_image(file, 4, 4, 3)


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff\xe0", png_that_claims(9, 9)]
)
def test_an_unreadable_picture_is_named(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "odd.png").write_bytes(body)
    with pytest.raises(DataError, match=r"odd\.png: unreadable"):
        read_image(tmp_path / "odd.png", 4, 4, 3)


def test_a_picture_cut_short_is_named(tmp_path: Path) -> None:
    file = saved(tmp_path / "cut.png", np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    file.write_bytes(file.read_bytes()[:900])
    with pytest.raises(DataError, match=r"cut\.png: unreadable"):
        read_image(file, 4, 4, 3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.data())
def test_flipped_bytes_give_a_picture_or_a_data_error(tmp_path: Path, data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(["png", "jpg", "gif", "bmp", "webp"]))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / f"odd.{form}"
    if form in ("bmp", "gif"):
        saved(file)
    else:
        saved(file, exif=exif)
    body = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(body)
    try:
        pixels = read_image(file, 4, 4, 3)
    except DataError:
        return
    assert pixels.shape == (4, 4, 3)


def test_a_missing_picture_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_image(tmp_path / "none.png", 4, 4, 3)


def test_postscript_is_never_opened_as_it_would_start_another_program(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    with pytest.raises(DataError, match="not a picture of a format that is read here"):
        read_image(tmp_path / "a.png", 4, 4, 3)


def test_the_bound_on_pixels_is_below_that_of_pillow() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert picture_costs.MOST_PIXELS <= Image.MAX_IMAGE_PIXELS
