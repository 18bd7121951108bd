from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from nnscratch.datasets.download import RemoteFile
from nnscratch.datasets.formats import archives
from nnscratch.datasets.formats.archives import require_official, unpack
from nnscratch.errors import DataError

WANTED = {"a.bin": 100, "b.bin": 100}


def packed(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member, body in members:
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return path


def file(name: str, body: bytes = b"12345") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), body


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


GOOD = (file("set/a.bin"), file("set/b.bin", b"678"))


def test_the_wanted_files_are_unpacked_and_others_are_not(tmp_path: Path) -> None:
    archive = packed(tmp_path / "x.tar.gz", special("set", tarfile.DIRTYPE), *GOOD, file("set/readme.html"))
    unpack(archive, tmp_path / "set", WANTED, 100_000)
    assert {path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()} == {
        "a.bin": b"12345",
        "b.bin": b"678",
    }


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (file("../outside"), "outside its folder"),
        (file("set/../../outside"), "outside its folder"),
        (file("/tmp/outside"), "outside its folder"),
        (file("set\\..\\outside"), "outside its folder"),
        (file("C:/outside"), "outside its folder"),
        (special("set/a.bin", tarfile.SYMTYPE, "/etc/passwd"), "link or a device"),
        (special("set/a.bin", tarfile.LNKTYPE, "/etc/passwd"), "link or a device"),
        (special("set/dev", tarfile.CHRTYPE), "link or a device"),
        (special("set/pipe", tarfile.FIFOTYPE), "link or a device"),
        (file("set/a.bin", bytes(101)), "has 101 bytes, not 100"),
    ],
)
def test_a_hostile_member_refuses_the_whole_archive(
    tmp_path: Path, member: tuple[tarfile.TarInfo, bytes], reason: str
) -> None:
    folder = tmp_path / "in" / "set"
    folder.parent.mkdir()
    archive = packed(tmp_path / "x.tar.gz", *GOOD, member)
    with pytest.raises(DataError, match=reason):
        unpack(archive, folder, WANTED, 100_000)
    assert list(folder.parent.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "x.tar.gz"]


def test_an_archive_that_expands_past_its_bound_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "x.tar.gz", *GOOD, file("set/bomb", bytes(5_000_000)))
    assert archive.stat().st_size < 50_000
    with pytest.raises(DataError, match="expands past its bound"):
        unpack(archive, tmp_path / "set", WANTED, 1_000_000)
    assert not (tmp_path / "set").exists()


def test_a_file_twice_in_an_archive_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "x.tar.gz", *GOOD, file("set/a.bin", b"other"))
    with pytest.raises(DataError, match=r"set/a\.bin is in it twice"):
        unpack(archive, tmp_path / "set", WANTED, 100_000)


def test_an_archive_that_lacks_a_file_says_which(tmp_path: Path) -> None:
    archive = packed(tmp_path / "x.tar.gz", file("set/a.bin"), file("elsewhere/b.bin"))
    with pytest.raises(DataError, match=r"it lacks set/b\.bin"):
        unpack(archive, tmp_path / "set", WANTED, 100_000)


@pytest.mark.parametrize("keep", [0, 5, 60, 100])
def test_a_damaged_archive_is_an_error_and_leaves_nothing(tmp_path: Path, keep: int) -> None:
    archive = packed(tmp_path / "x.tar.gz", file("set/a.bin", os.urandom(90)), file("set/b.bin", os.urandom(90)))
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"x\.tar\.gz"):
        unpack(archive, tmp_path / "set", WANTED, 100_000)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.gz"]


def test_a_folder_that_another_process_made_meanwhile_is_left_alone(tmp_path: Path) -> None:
    archive = packed(tmp_path / "x.tar.gz", *GOOD)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.bin").write_bytes(b"mine")
    unpack(archive, tmp_path / "set", WANTED, 100_000)
    assert (tmp_path / "set" / "a.bin").read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "x.tar.gz"]


def test_a_full_disk_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        unpack(packed(tmp_path / "x.tar.gz", *GOOD), tmp_path / "set", WANTED, 100_000)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.gz"]


def test_every_flipped_bit_of_the_compressed_stream_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    archive = packed(tmp_path / "x.tar.gz", *GOOD)
    whole = archive.read_bytes()
    for index in range(10, len(whole)):  # behind the header of gzip, where the time and the file's name are
        archive.write_bytes(whole[:index] + bytes([whole[index] ^ 16]) + whole[index + 1 :])
        with suppress(DataError):
            unpack(archive, tmp_path / "set", WANTED, 100_000)
            files = {path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()}
            assert files == {"a.bin": b"12345", "b.bin": b"678"}
            shutil.rmtree(tmp_path / "set")


@pytest.mark.parametrize("bit", [-8, -4])
def test_a_wrong_checksum_or_length_at_the_end_is_noticed(bit: int, tmp_path: Path) -> None:
    archive = packed(tmp_path / "x.tar.gz", *GOOD)
    whole = bytearray(archive.read_bytes())
    whole[bit] ^= 1
    archive.write_bytes(whole)
    with pytest.raises(DataError, match="damaged"):
        unpack(archive, tmp_path / "set", WANTED, 100_000)
    assert not (tmp_path / "set").exists()


def test_a_file_with_holes_is_refused(tmp_path: Path) -> None:
    member, body = file("set/a.bin", b"1\n0\n5\n".ljust(512, b"\0") + b"12345")
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "5"}
    member.pax_headers["GNU.sparse.name"] = "set/a.bin"
    archive = packed(tmp_path / "x.tar.gz", (member, body))
    with pytest.raises(DataError, match="holes"):
        unpack(archive, tmp_path / "set", WANTED, 100_000)


def endless_map(kind: str) -> bytes:
    """The beginning of an archive whose first member is a map of holes that goes on for 2 MB."""
    member = tarfile.TarInfo("set/a.bin")
    if kind == "old":
        member.type = tarfile.GNUTYPE_SPARSE
        header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
        header[482] = 1  # the map goes on in the next block
        header[148:156] = b"%06o\0 " % (sum(header[:148] + header[156:]) + 8 * 32)
        return bytes(header) + (b"00000000000\0" * 42 + b"\1".ljust(8, b"\0")) * 4_000
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "5"}
    return member.tobuf(tarfile.PAX_FORMAT) + b"999999999\n" + b"1\n" * 1_000_000


@pytest.mark.parametrize("kind", ["old", "new"])
def test_a_map_of_holes_without_an_end_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(gzip.compress(endless_map(kind), 1))
    began = time.process_time()
    with pytest.raises(DataError, match="stands before one of its members has over 1,048,576 bytes"):
        unpack(archive, tmp_path / "set", WANTED, 1 << 30)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("count", [1, 100])
def test_extended_headers_that_take_long_to_search_are_refused(count: int, tmp_path: Path) -> None:
    member = tarfile.TarInfo("x")
    record = b"13 comment=x\n"
    member.type, member.size = tarfile.XHDTYPE, len(record) * (76_000 // count)
    block = member.tobuf() + record * (76_000 // count)
    each = block + bytes(-len(block) % 512) + tarfile.TarInfo("y").tobuf()
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(gzip.compress(each * count, 1))
    with pytest.raises(DataError, match="its extended headers are too long"):
        unpack(archive, tmp_path / "set", WANTED, 1 << 30)


def test_a_member_that_claims_more_bytes_than_anybody_has_is_refused_at_once(tmp_path: Path) -> None:
    member = tarfile.TarInfo("set/readme")
    member.pax_headers = {"size": str(10**20)}
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(gzip.compress(member.tobuf(tarfile.PAX_FORMAT) + bytes(2048)))
    with pytest.raises(DataError, match="unexpected end of data"):
        unpack(archive, tmp_path / "set", WANTED, 1 << 30)


def test_an_archive_of_members_without_number_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBERS", 50)
    few = packed(tmp_path / "few.tar.gz", *GOOD, *(file(f"{index}", bytes(3000)) for index in range(48)))
    unpack(few, tmp_path / "set", WANTED, 1 << 20)
    many = packed(tmp_path / "many.tar.gz", *(special(f"{index}", tarfile.DIRTYPE) for index in range(60)))
    with pytest.raises(DataError, match="more than 50 members"):
        unpack(many, tmp_path / "other", WANTED, 1 << 20)


def test_a_chain_of_long_names_is_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("././@LongLink")
    link.type, link.size = tarfile.GNUTYPE_LONGNAME, 4
    block = link.tobuf(tarfile.GNU_FORMAT) + b"abc\0".ljust(512, b"\0")
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(gzip.compress(block * 5000))
    with pytest.raises(DataError, match="damaged"):
        unpack(archive, tmp_path / "set", WANTED, 100_000_000)


def test_an_archive_as_long_as_the_publishers_but_not_the_same_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "x.tar.gz", *GOOD)
    size, digest = archive.stat().st_size, hashlib.sha256(archive.read_bytes()).hexdigest()
    require_official(archive, RemoteFile("x.tar.gz", (), size, digest))
    require_official(archive, RemoteFile("x.tar.gz", (), size + 1, "0" * 64))
    with pytest.raises(DataError, match="damaged: sha256"):
        require_official(archive, RemoteFile("x.tar.gz", (), size, "0" * 64))
