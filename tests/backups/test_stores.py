"""The folder that archives are kept in."""

import contextlib
import resource
import signal

import pytest


@contextlib.contextmanager
def small_files():
    """No file of this process may grow beyond 4 KiB, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_put__on_a_full_disk__leaves_nothing_and_keeps_what_was(tmp_path):
    from apps.backups.stores import FolderStore

    store = FolderStore(tmp_path / "kept")
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"x" * 1_000)
    large.write_bytes(b"x" * 10_000)
    store.put(small, "small.configsvc")

    with small_files(), pytest.raises(OSError, match="File too large"):
        store.put(large, "large.configsvc")

    assert sorted(each.name for each in store.folder.iterdir()) == [".lock", "small.configsvc"]
    assert [(each.name, each.size) for each in store.list()] == [("small.configsvc", 1_000)]
