"""Kills the node again and again while clients put log lines and metrics, then reads both.

What must hold: every line of a call that was answered is there, and each writer's lines are in the order in which they were
put; the sum of a metric is at least what was acknowledged and at most what was sent.
"""

import datetime
import threading
import time

from botocore.exceptions import BotoCoreError, ClientError
from peers import PAUSE_SECONDS

KILLS = 4
SECONDS_BETWEEN_KILLS = 1.5
WRITERS = 3
LINES = 3
GROUP = "/crash/lines"


class Load:
    """Writers that go on until told to stop, whatever becomes of the node: each has a log stream and a metric of its own."""

    def __init__(self, node):
        self.node, self.stop = node, threading.Event()
        self.lines = {f"w{n}": [] for n in range(WRITERS)}
        self.sent, self.acknowledged = dict.fromkeys(self.lines, 0), dict.fromkeys(self.lines, 0)
        tasks = [(task, name) for name in self.lines for task in (self.put_lines, self.put_value)]
        self.threads = [threading.Thread(target=self.repeat, args=each, daemon=True) for each in tasks]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(timeout=60)
            assert not thread.is_alive()

    def repeat(self, task, name):
        clients, number = (self.node.client("logs"), self.node.client("cloudwatch")), 0
        while not self.stop.is_set():
            number += 1
            try:
                task(*clients, name, number)
                time.sleep(PAUSE_SECONDS)
            except (BotoCoreError, ClientError, OSError):
                # What was not acknowledged is there or not; its number is not used again.
                time.sleep(0.05)

    def put_lines(self, logs, _, name, number):
        messages = [f"{name} {number} {line}" for line in range(LINES)]
        at = int(time.time() * 1000)
        logs.put_log_events(logGroupName=GROUP, logStreamName=name,
                            logEvents=[{"timestamp": at, "message": message} for message in messages])
        self.lines[name] += messages

    def put_value(self, _, cloudwatch, name, number):
        self.sent[name] += 1
        cloudwatch.put_metric_data(Namespace="Crash", MetricData=[{"MetricName": name, "Value": 1.0, "Unit": "Count"}])
        self.acknowledged[name] += 1


def read_lines(logs, stream):
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP, logStreamNames=[stream])
    return [event["message"] for page in pages for event in page["events"]]


def read_sum(cloudwatch, name):
    now = datetime.datetime.now(datetime.timezone.utc)
    points = cloudwatch.get_metric_statistics(
        Namespace="Crash", MetricName=name, Period=60, Statistics=["Sum"], StartTime=now - datetime.timedelta(hours=1),
        EndTime=now + datetime.timedelta(minutes=5))["Datapoints"]
    return sum(point["Sum"] for point in points)


def test_acknowledged_lines_and_values_are_there(node):
    logs = node.client("logs")
    logs.create_log_group(logGroupName=GROUP)
    with Load(node) as load:
        for name in load.lines:
            logs.create_log_stream(logGroupName=GROUP, logStreamName=name)
        for _ in range(KILLS):
            time.sleep(SECONDS_BETWEEN_KILLS)
            node.kill()
            node.start()
        time.sleep(SECONDS_BETWEEN_KILLS)
    # What was put last was not waited for by anything but its answer.
    node.kill()
    node.start()
    logs, cloudwatch = node.client("logs"), node.client("cloudwatch")
    for name, acknowledged in load.lines.items():
        assert len(acknowledged) > 100 and load.acknowledged[name] > 20
        found = read_lines(logs, name)
        lost = set(acknowledged) - set(found)
        assert not lost, f"{len(lost)} lines are gone, such as {sorted(lost)[:3]}"
        assert len(found) == len(set(found))
        place = lambda message: tuple(map(int, message.split()[1:]))
        assert found == sorted(found, key=place), "in the order in which they were put"
        assert load.acknowledged[name] <= read_sum(cloudwatch, name) <= load.sent[name]
