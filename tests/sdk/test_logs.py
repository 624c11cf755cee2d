"""CloudWatch Logs through boto3: groups and streams made by hand, lines put in, retention, tags, patterns over JSON, pages."""

import json
import time
import uuid

import pytest
from botocore.exceptions import ClientError

DAY = 24 * 3_600_000


def now():
    return int(time.time() * 1000)


@pytest.fixture
def group(logs):
    name = f"/test/{uuid.uuid4().hex[:8]}"
    logs.create_log_group(logGroupName=name, tags={"team": "trades"})
    logs.create_log_stream(logGroupName=name, logStreamName="s")
    return name


def put(logs, group, *messages, stream="s", at=None):
    events = [{"timestamp": (at or now()), "message": message} for message in messages]
    return logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def found(logs, group, pattern="", **more):
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, filterPattern=pattern, **more)
    return [event["message"] for page in pages for event in page["events"]]


def error(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["Error"]["Code"]


def test_groups_and_streams_are_made_described_and_removed(logs, group):
    (described,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert abs(described["creationTime"] - now()) < 60_000 and described["logGroupClass"] == "STANDARD"
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert stream["logStreamName"] == "s" and "lastEventTimestamp" not in stream
    assert error(logs.create_log_group, logGroupName=group) == "ResourceAlreadyExistsException"
    assert error(logs.create_log_stream, logGroupName=group, logStreamName="s") == "ResourceAlreadyExistsException"
    assert error(logs.create_log_group, logGroupName="bad name") == "ValidationException"
    assert error(logs.create_log_group, logGroupName="/k", kmsKeyId="arn:aws:kms:us-east-1:0:key/1") == "InvalidParameterException"
    put(logs, group, "gone soon")
    logs.delete_log_stream(logGroupName=group, logStreamName="s")
    assert logs.describe_log_streams(logGroupName=group)["logStreams"] == [] and found(logs, group) == []
    logs.delete_log_group(logGroupName=group)
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
    assert error(logs.delete_log_group, logGroupName=group) == "ResourceNotFoundException"


def test_lines_are_put_in_order_and_within_their_time(logs, group):
    time_now = now()
    ages = [-20 * DAY, -1_000, 0, 3 * 3_600_000]
    two = [{"timestamp": time_now + age, "message": str(age)} for age in ages[:2]]
    assert error(logs.put_log_events, logGroupName=group, logStreamName="s", logEvents=two) == "InvalidParameterException"
    answer = logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=[
        {"timestamp": time_now + age, "message": str(age)} for age in ages[1:]])
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 2}
    assert put(logs, group, "old", at=time_now - 20 * DAY)["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    assert found(logs, group) == ["-1000", "0"]
    backwards = [{"timestamp": time_now - age, "message": "m"} for age in (0, 5)]
    assert error(logs.put_log_events, logGroupName=group, logStreamName="s", logEvents=backwards) == "InvalidParameterException"
    assert error(logs.put_log_events, logGroupName=group, logStreamName="none",
                 logEvents=[{"timestamp": time_now, "message": "m"}]) == "ResourceNotFoundException"
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert (stream["firstEventTimestamp"], stream["lastEventTimestamp"]) == (time_now - 1_000, time_now)


def test_retention_hides_what_is_old(logs, group):
    put(logs, group, "two days old", at=now() - 2 * DAY)
    put(logs, group, "new")
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    (described,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert described["retentionInDays"] == 1 and found(logs, group) == ["new"]
    assert put(logs, group, "late", at=now() - 2 * DAY)["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    logs.delete_retention_policy(logGroupName=group)
    assert found(logs, group) == ["two days old", "new"]
    assert error(logs.put_retention_policy, logGroupName=group, retentionInDays=2) == "InvalidParameterException"


def test_tags_are_kept(logs, group):
    arn = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["logGroupArn"]
    logs.tag_resource(resourceArn=arn, tags={"cost": "7"})
    logs.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"cost": "7"}


def test_patterns_over_json_find_lines(logs, group):
    for level, latency in [("ERROR", 120), ("INFO", 5), ("ERROR", 3)]:
        put(logs, group, json.dumps({"level": level, "latency": latency}))
    put(logs, group, "level = ERROR, but no JSON")
    assert [json.loads(line)["latency"] for line in found(logs, group, '{ $.level = "ERROR" && $.latency > 100 }')] == [120]
    assert len(found(logs, group, '{ ($.level = "INFO") || ($.latency < 10) }')) == 2
    assert len(found(logs, group, "ERROR")) == 3
    for pattern in ["[ip, user]", "%ERROR%", "{ $.level }"]:
        assert error(logs.filter_log_events, logGroupName=group, filterPattern=pattern) == "InvalidParameterException"
    assert error(logs.filter_log_events, logGroupName=group, logStreamNames=["none"]) == "ResourceNotFoundException"


def test_pages_hold_at_most_a_megabyte(logs, group):
    for number in range(30):
        put(logs, group, f"{number:02}" + "x" * (100 << 10))
    numbers = []
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
        assert sum(len(event["message"]) for event in page["events"]) <= 1 << 20
        numbers += [int(event["message"][:2]) for event in page["events"]]
    assert numbers == list(range(30))
    page = logs.get_log_events(logGroupName=group, logStreamName="s")["events"]
    assert 1 < len(page) <= 10 and page[-1]["message"].startswith("29")


def test_groups_and_what_was_removed_survive_the_node(node):
    logs = node.client("logs")
    kept, removed = f"/k/{uuid.uuid4().hex}", f"/r/{uuid.uuid4().hex}"
    for name in (kept, removed):
        logs.create_log_group(logGroupName=name)
        logs.create_log_stream(logGroupName=name, logStreamName="s")
        put(logs, name, "line")
    logs.put_retention_policy(logGroupName=kept, retentionInDays=7)
    node.stop()
    node.start()
    assert found(logs, removed) == ["line"]
    logs.delete_log_group(logGroupName=removed)
    node.stop()
    node.start()
    (described,) = logs.describe_log_groups(logGroupNamePrefix=kept)["logGroups"]
    assert described["retentionInDays"] == 7 and found(logs, kept) == ["line"]
    assert logs.describe_log_groups(logGroupNamePrefix=removed)["logGroups"] == []


def test_streams_that_cannot_be_asked_for_together_are_refused(logs, group):
    put(logs, group, "one")
    assert error(logs.filter_log_events, logGroupName=group, logStreamNames=["s"], logStreamNamePrefix="s") == \
        "InvalidParameterException"
    assert error(logs.filter_log_events, logGroupName=group, logStreamNames=["s", "none"]) == "ResourceNotFoundException"
    assert error(logs.get_log_events, logGroupName=group, logStreamName="none") == "ResourceNotFoundException"
    assert error(logs.describe_log_streams, logGroupName=group, logStreamNamePrefix="s", orderBy="LastEventTime") == \
        "InvalidParameterException"
