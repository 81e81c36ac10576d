from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import pipelines
from pipelines.errors import StoreError
from pipelines.store.files import FileStore

PROCESSES = 4

START = """
import os, resource, sys
from pathlib import Path
from pipelines.errors import *
from pipelines.store.files import FileStore
"""


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


def python(script: str, *arguments: object, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start a process that runs the script; it waits wherever the script reads a line."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", START + script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(pipelines.__file__).parents[1],
    )


def race(script: str, *arguments: object) -> list[str]:
    """Run the script in several processes that start together; return what each printed last."""
    running = [python(f"print('ready', flush=True); input()\n{script}", *arguments, n) for n in range(PROCESSES)]
    for process in running:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0] * PROCESSES, answers
    return [output.strip() for output, _ in answers]


def test_of_many_processes_exactly_one_puts(store: FileStore, tmp_path: Path) -> None:
    answers = race(
        """
store = FileStore(Path(sys.argv[1]))
for number in range(50):
    try:
        store.put_if_absent(f"ledger/{number}", sys.argv[2].encode())
        print(number, end=" ")
    except ObjectExists:
        pass
""",
        tmp_path / "store",
    )
    won = {int(number): str(n).encode() for n, answer in enumerate(answers) for number in answer.split()}
    assert sum(len(answer.split()) for answer in answers) == 50
    assert {number: store.read(f"ledger/{number}") for number in range(50)} == won


def test_no_swap_between_processes_is_lost(store: FileStore, tmp_path: Path) -> None:
    store.write("counter", b"0")
    race(
        """
store = FileStore(Path(sys.argv[1]))
for _ in range(25):
    while True:
        tag = store.stat("counter").tag
        value = int(store.read("counter"))
        try:
            store.compare_and_swap("counter", str(value + 1).encode(), tag)
            break
        except ObjectChanged:
            pass
""",
        tmp_path / "store",
    )
    assert store.read("counter") == b"%d" % (25 * PROCESSES)


def test_a_writer_killed_in_the_middle_leaves_no_object(store: FileStore, tmp_path: Path) -> None:
    size_bytes = 64 * 1024 * 1024
    writer = python(
        f"""
store = FileStore(Path(sys.argv[1]))
data = bytes({size_bytes})
print("ready", flush=True)
for number in range(1000):
    store.write(f"large/{{number:04d}}", data)
""",
        tmp_path / "store",
    )
    assert writer.stdout.readline() == "ready\n"
    half = wait_for_half_a_file(tmp_path / "store" / "~writing", size_bytes)
    writer.kill()
    writer.communicate()

    assert writer.returncode == -signal.SIGKILL
    assert half.exists()
    assert {info.size_bytes for info in store.list()} <= {size_bytes}
    assert all(info.key.startswith("large/") for info in store.list())
    os.utime(half, (0, 0))  # as if it had been left long ago
    FileStore(tmp_path / "store").put_if_absent("next", b"after")
    assert not half.exists()


def wait_for_half_a_file(folder: Path, size_bytes: int) -> Path:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        for path in folder.iterdir() if folder.exists() else ():
            try:
                if 0 < path.stat().st_size < size_bytes:
                    return path
            except FileNotFoundError:
                continue
    raise AssertionError("nothing was being written")


def test_a_slow_writer_is_not_swept_away(store: FileStore, tmp_path: Path) -> None:
    store.write("first", b"1")
    slow, dead, new = (tmp_path / "store" / "~writing" / name for name in ("slow", "dead", "new"))
    for path in (slow, dead, new):
        path.write_bytes(b"half")
    for path in (slow, dead):
        os.utime(path, (0, 0))
    with slow.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        FileStore(tmp_path / "store").write("second", b"2")
    assert (slow.exists(), dead.exists(), new.exists()) == (True, False, True)


def test_a_lock_dies_with_its_holder(store: FileStore, tmp_path: Path) -> None:
    tag = store.write("counter", b"0").tag
    holder = python(
        """
store = FileStore(Path(sys.argv[1]))
with store._workshop.lock("counter"):
    print("held", flush=True)
    input()
""",
        tmp_path / "store",
    )
    assert holder.stdout.readline() == "held\n"
    swapper = python(
        """
print("asks", flush=True)
FileStore(Path(sys.argv[1])).compare_and_swap("counter", b"1", sys.argv[2])
""",
        tmp_path / "store",
        tag,
    )
    assert swapper.stdout.readline() == "asks\n"
    with pytest.raises(subprocess.TimeoutExpired):
        swapper.wait(timeout=0.3)
    holder.kill()
    holder.communicate()
    assert swapper.communicate(timeout=30)[1] == ""
    assert store.read("counter") == b"1"


def test_what_the_store_keeps_for_itself_is_not_listed(store: FileStore, tmp_path: Path) -> None:
    store.compare_and_swap("a/b", b"2", store.write("a/b", b"1").tag)
    (tmp_path / "store" / "~writing" / "left").write_bytes(b"half")
    (tmp_path / "store" / "a" / "a stranger's file").write_bytes(b"")
    assert {path.name for path in (tmp_path / "store").iterdir()} == {"a", "~writing", "~locks"}
    assert [info.key for info in store.list()] == ["a/b"]


def test_a_folder_that_went_away_is_a_fault_and_not_an_empty_store(store: FileStore, tmp_path: Path) -> None:
    store.write("model/one", b"1")
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    for call in (
        lambda: store.stat("model/one"),
        lambda: store.read("model/one"),
        lambda: list(store.list()),
        lambda: store.write("model/two", b"2"),
        lambda: store.delete("model/one"),
    ):
        with pytest.raises(StoreError, match=str(tmp_path / "store")) as caught:
            call()
        assert type(caught.value) is StoreError
    assert not (tmp_path / "store").exists()


def test_a_store_where_a_file_is_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=str(tmp_path / "file")):
        FileStore(tmp_path / "file")


FILL_THE_DISK = """
folder = Path(sys.argv[1])
if sys.argv[2] == "quota":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
store = FileStore(folder / "store")
tag = store.write("model/one", b"old").tag
source = Path(sys.argv[3])
for call in (
    lambda: store.write("model/one", bytes(5_000_000)),
    lambda: store.put_if_absent("model/two", bytes(5_000_000)),
    lambda: store.compare_and_swap("model/one", bytes(5_000_000), tag),
    lambda: store.upload("model/three", source),
):
    try:
        call()
    except StoreError as error:
        print(type(error).__name__, error)
assert store.read("model/one") == b"old"
assert [info.key for info in store.list()] == ["model/one"]
assert list((folder / "store" / "~writing").iterdir()) == []
store.write("model/four", b"there is room for this")
"""


@pytest.mark.parametrize("kind", ["disk", "quota"])
def test_a_full_disk_is_named_and_leaves_nothing_half_written(tmp_path: Path, kind: str) -> None:
    small, source = tmp_path / "small", tmp_path / "source"
    small.mkdir()
    source.write_bytes(bytes(5_000_000))
    mount = mount_command(small) if kind == "disk" else ()
    process = python(FILL_THE_DISK, small, "disk" if mount else "quota", source, prefix=mount)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    lines = output.splitlines()
    assert len(lines) == 4, output
    for line in lines:
        assert line.startswith("StoreError Cannot write 'model/"), line
        assert f"in {small / 'store'}: the disk or its quota is full" in line
        assert line.endswith("Nothing half-written is left.")


def mount_command(folder: Path) -> Sequence[str]:
    """Return the beginning of a command that runs the rest with a disk of 2 MB at `folder`; empty where none may."""
    mount = f'mount -t tmpfs -o size=2m tandem "{folder}" && exec "$@"'
    for unshare in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        command = [*unshare, "sh", "-c", mount, "sh"]
        try:
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            break
    return ()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_read_only_store_is_read_and_every_write_is_refused(open_folder: Path) -> None:
    store = FileStore(open_folder / "store")
    tag = store.write("model/one", b"old").tag
    for path in (open_folder / "store").rglob("*"):
        if path.is_dir():
            path.chmod(0o555)
    (open_folder / "store").chmod(0o555)
    process = python(
        """
folder = Path(sys.argv[1])
if os.geteuid() == 0:
    os.seteuid(65534)  # the superuser may write anywhere
store = FileStore(folder / "store")
assert store.read("model/one") == b"old"
assert [info.key for info in store.list()] == ["model/one"]
with store.fetch("model/one") as path:
    assert path.read_bytes() == b"old"
for call in (
    lambda: store.write("model/one", b"new"),
    lambda: store.put_if_absent("model/two", b"new"),
    lambda: store.compare_and_swap("model/one", b"new", sys.argv[2]),
    lambda: store.upload("model/two", folder / "store/model/one"),
    lambda: store.delete("model/one"),
    lambda: FileStore(folder / "another"),
):
    try:
        call()
    except StoreError as error:
        print(type(error).__name__, error)
""",
        open_folder,
        tag,
    )
    output, error = process.communicate(timeout=60)
    (open_folder / "store").chmod(0o755)
    assert process.returncode == 0, error
    lines = output.splitlines()
    assert len(lines) == 6, output
    for line in lines:
        assert line.startswith("StoreError Cannot write "), line
        assert f"in {open_folder}" in line
        assert "this user may not do that there, or the folder is read-only" in line
    assert store.read("model/one") == b"old"
    assert [info.key for info in store.list()] == ["model/one"]


def test_an_object_cannot_be_changed_in_passing(store: FileStore) -> None:
    store.write("model/one", b"1")
    with store.fetch("model/one") as path:
        assert path.stat().st_mode & 0o222 == 0
