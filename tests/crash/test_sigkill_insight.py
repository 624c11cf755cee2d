"""Kills the node again and again while clients put log lines and metrics, then reads both.

What must hold: every line of a call that was answered is there, and each writer's lines are in the order in which they were
put; the sum of a metric is at least what was acknowledged and at most what was sent.
"""

import datetime
import time

from conftest import until
from peers import Load

KILLS = 4
SECONDS_BETWEEN_KILLS = 1.5
WRITERS = 3
LINES = 3
GROUP = "/crash/lines"


class Writers(Load):
    """Writers of lines and of values: each has a log stream and a metric of its own."""

    def __init__(self, node):
        self.lines = {f"w{n}": [] for n in range(WRITERS)}
        self.sent, self.acknowledged = dict.fromkeys(self.lines, 0), dict.fromkeys(self.lines, 0)
        tasks = [(task, name) for name in self.lines for task in (self.put_lines, self.put_value)]
        super().__init__(node, [(self.repeat, ("logs", "cloudwatch"), *each) for each in tasks])

    def done(self):
        return {name: (len(self.lines[name]), self.acknowledged[name]) for name in self.lines}

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
    with Writers(node) as load:
        for name in load.lines:
            logs.create_log_stream(logGroupName=GROUP, logStreamName=name)
        for _ in range(KILLS):
            time.sleep(SECONDS_BETWEEN_KILLS)
            node.kill()
            node.start()
        before = load.done()
        until(lambda: all(lines > before[name][0] and values > before[name][1]
                          for name, (lines, values) in load.done().items()))
    # What was put last was not waited for by anything but its answer.
    node.kill()
    node.start()
    logs, cloudwatch = node.client("logs"), node.client("cloudwatch")
    for name, acknowledged in load.lines.items():
        found = read_lines(logs, name)
        lost = set(acknowledged) - set(found)
        assert not lost, f"{len(lost)} lines are gone, such as {sorted(lost)[:3]}"
        assert len(found) == len(set(found))
        place = lambda message: tuple(map(int, message.split()[1:]))
        assert found == sorted(found, key=place), "in the order in which they were put"
        assert load.acknowledged[name] <= read_sum(cloudwatch, name) <= load.sent[name]
