"""Kills the node again and again while blobs are written, then reads them all.

What must hold: a blob has the content and the metadata of its last acknowledged write, or, when a later write was cut off,
the content of that one; a log has every acknowledged line once, in order, and of the line that was cut off all or nothing.
"""

import threading
import time

from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob import BlobServiceClient
from peers import blob_connection_string

KILLS = 5
SECONDS_BETWEEN_KILLS = 1.5
WRITERS = 4
BLOBS = 6


def connect(node):
    return BlobServiceClient.from_connection_string(
        blob_connection_string(node), retry_total=0, connection_timeout=2, read_timeout=10, max_single_put_size=4096,
        max_block_size=4096)


class Writer(threading.Thread):
    """Overwrites its own blobs, small ones whole and large ones by blocks, and adds lines to a log of its own."""

    def __init__(self, node, number, stop):
        super().__init__(daemon=True)
        self.container = connect(node).get_container_client("crash")
        self.number, self.stop = number, stop
        self.acknowledged, self.attempted, self.lines = {}, {}, 0

    def run(self):
        turn = 0
        while not self.stop.is_set():
            turn += 1
            name = f"{self.number}/{turn % BLOBS}"
            content = f"{turn} ".encode() * (10 if turn % 2 else 3000)
            self.attempted.setdefault(name, []).append((turn, content))
            try:
                self.container.upload_blob(name, content, overwrite=True, metadata={"turn": str(turn)})
                self.acknowledged[name] = turn
                self.add_line()
            except AzureError:
                time.sleep(0.05)

    def add_line(self):
        log = self.container.get_blob_client(f"log-{self.number}")
        if not self.lines:
            log.create_append_blob()
        try:
            log.append_block(b"%05d\n" % self.lines, appendpos_condition=6 * self.lines)
        except HttpResponseError as error:
            # Its answer was cut off the time before, but it is there.
            if error.error_code != "AppendPositionConditionNotMet":
                raise
        self.lines += 1


def test_what_was_acknowledged_is_there(node):
    connect(node).create_container("crash")
    stop = threading.Event()
    writers = [Writer(node, number, stop) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for _ in range(KILLS):
        time.sleep(SECONDS_BETWEEN_KILLS)
        node.kill()
        node.start()
    time.sleep(0.5)
    stop.set()
    for writer in writers:
        writer.join(timeout=60)
        assert not writer.is_alive()
    assert sum(len(writer.acknowledged) for writer in writers) == WRITERS * BLOBS
    container = connect(node).get_container_client("crash")
    for writer in writers:
        for name, acknowledged in writer.acknowledged.items():
            content = container.download_blob(name).readall()
            possible = {turn: content for turn, content in writer.attempted[name] if turn >= acknowledged}
            turns = [turn for turn, wanted in possible.items() if wanted == content]
            assert turns, f"{name}: {acknowledged} was acknowledged, found {content[:40]}"
            metadata = container.get_blob_client(name).get_blob_properties().metadata
            # The entry of a write that was cut off may be missing, never another's.
            assert metadata == {"turn": str(turns[0])} or (turns[0] > acknowledged and not metadata), name
        lines = container.download_blob(f"log-{writer.number}").readall()
        whole = b"".join(b"%05d\n" % line for line in range(writer.lines + 1))
        assert lines in (whole, whole[:-6]), f"{writer.lines} lines were acknowledged, found {lines[-20:]}"
    left = [path for path in (node.data / "objects" / "crash").rglob("*") if path.name.startswith(".")]
    assert not left and len(list(container.list_blobs())) == WRITERS * (BLOBS + 1)
