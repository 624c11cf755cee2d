"""The other ends of a node in tests: its published development keys, writers that outlive its crashes, a webhook."""

import http.server
import json
import threading
import time

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.exceptions import EventHubError
from botocore.exceptions import BotoCoreError, ClientError

# The published keys of the emulators; nodes for development accept them.
BLOB_ACCOUNT = "devstoreaccount1"
BLOB_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
COSMOS_KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="

# Between the calls of a writer: it bounds what a node has to catch up with, on however fast a machine.
PAUSE_SECONDS = 0.02


def hubs_connection_string(node, policy="RootManageSharedAccessKey", key="SAS_KEY_VALUE"):
    """How Event Hubs' clients find a node for development."""
    return (f"Endpoint=sb://localhost:{node.amqp_port};SharedAccessKeyName={policy};SharedAccessKey={key};"
            "UseDevelopmentEmulator=true;")


def read_hub(node, hub, enough, seconds=60):
    """What a hub holds, as partition and event, once that is enough or the time is over."""
    found, done = [], threading.Event()

    def on_event(context, event):
        if event is not None:
            found.append((context.partition_id, event))
        if enough(found):
            done.set()

    client = EventHubConsumerClient.from_connection_string(hubs_connection_string(node), "$Default", eventhub_name=hub)
    worker = threading.Thread(target=client.receive, args=(on_event,), daemon=True,
                              kwargs={"starting_position": "-1", "max_wait_time": 1})
    worker.start()
    try:
        done.wait(seconds)
    finally:
        client.close()
        worker.join(seconds)
    return found


def blob_connection_string(node):
    """How Blob Storage's clients find a node for development."""
    return (f"DefaultEndpointsProtocol=http;AccountName={BLOB_ACCOUNT};AccountKey={BLOB_KEY};"
            f"BlobEndpoint={node.endpoint}/{BLOB_ACCOUNT};")


class Load:
    """Threads that work on a node until told to stop, whatever becomes of it: from `with` to its end. A thread that breaks down
    breaks the test.
    """

    def __init__(self, node, tasks, stop=None):
        """Each task is a function and its arguments; it ends soon after `stop` is set."""
        self.node, self.stop, self.broken = node, stop or threading.Event(), []
        self.threads = [threading.Thread(target=self.run, args=task, daemon=True) for task in tasks]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(timeout=120)
            assert not thread.is_alive()
        assert not self.broken, self.broken

    def run(self, task, *arguments):
        try:
            task(*arguments)
        except Exception as error:
            self.broken.append(error)

    def repeat(self, services, task, name):
        """Does a task with clients of some services again and again, each time under another name."""
        clients, number = [self.node.client(service) for service in services], 0
        while not self.stop.is_set():
            number += 1
            try:
                task(*clients, name, number)
                time.sleep(PAUSE_SECONDS)
            except (BotoCoreError, ClientError, OSError):
                # What was not acknowledged is done or not; its number is not used again.
                time.sleep(0.05)


class HubWriters(Load):
    """Writers that send batches to a hub until told to stop, one a partition, through any crash of the node.

    `events(writer, number)` gives the events of a writer's batch. Batches are told as (writer, number): those whose sending was
    settled, and those that a kill interrupted, which the client may have sent again by itself.
    """

    def __init__(self, node, hub, writers, events):
        super().__init__(node, [(self.write, n) for n in range(writers)])
        self.hub, self.events = hub, events
        self.kills = 0
        self.settled, self.interrupted = set(), set()

    def restart_node(self, end=None, between=lambda: None):
        """Ends the node under the writers, by a kill unless `end` does it, and starts it again after `between`.

        Counted before and after: whatever is sent meanwhile sees at least one count, whenever it began.
        """
        self.kills += 1
        (end or self.node.kill)()
        self.kills += 1
        between()
        self.node.start()

    def write(self, writer):
        string, number = hubs_connection_string(self.node), 0
        while not self.stop.is_set():
            client = EventHubProducerClient.from_connection_string(string, eventhub_name=self.hub, retry_total=0)
            try:
                with client:
                    while not self.stop.is_set():
                        number += 1
                        kills = self.kills
                        events = [EventData(json.dumps(event)) for event in self.events(writer, number)]
                        client.send_batch(events, partition_id=str(writer))
                        self.settled.add((writer, number))
                        if kills != self.kills:
                            self.interrupted.add((writer, number))
                        time.sleep(PAUSE_SECONDS)
            except (EventHubError, OSError):
                time.sleep(0.1)


class Webhook:
    """A webhook of this machine. `answer(event, time)` says which status the `time`th delivery of an event gets."""

    def __init__(self, answer=lambda event, time: 200, consent=True):
        self.answer, self.consent = answer, consent
        self.lock = threading.Lock()
        self.handshakes, self.deliveries, self.farewells, self.times = [], [], [], {}
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, answer = webhook.take(self.headers, body)
                self.reply(status, answer)

            def do_OPTIONS(self):
                with webhook.lock:
                    webhook.handshakes.append(dict(self.headers))
                allowed = {"WebHook-Allowed-Origin": self.headers["webhook-request-origin"]} if webhook.consent else {}
                self.reply(200, b"", **allowed)

            def reply(self, status, body, **headers):
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            # The default of 5 lets the system drop connections of a burst.
            request_queue_size = 128
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?secret=1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, headers, body):
        with self.lock:
            if headers["aeg-event-type"] == "SubscriptionValidation":
                self.handshakes.append(body)
                code = body[0]["data"]["validationCode"]
                return 200, json.dumps({"validationResponse": code} if self.consent else {}).encode()
            if headers["aeg-event-type"] == "SubscriptionDeletion":
                self.farewells.append((dict(headers), body))
                return 200, b""
            events = body if isinstance(body, list) else [body]
            first = events[0]
            # Events of publishers' own form may have no id.
            number = first.get("id")
            self.times[number] = self.times.get(number, 0) + 1
            status = self.answer(first, self.times[number])
            self.deliveries.append((status, dict(headers), body))
            return status, b""

    @property
    def events(self):
        """The events that were taken."""
        with self.lock:
            bodies = [body for status, _, body in self.deliveries if status < 300]
        return [event for body in bodies for event in (body if isinstance(body, list) else [body])]

    def taken(self):
        """Ids of the events that were taken."""
        return [event["id"] for event in self.events]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
