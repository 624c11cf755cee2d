"""What is set for Kinesis streams beside their shards, through boto3; and what is not served, by name."""

import json
import uuid

import boto3
import botocore
import pytest
from botocore.exceptions import ClientError
from conftest import Node


@pytest.fixture
def stream(kinesis):
    name = f"set-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=name, ShardCount=1)
    yield name
    kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)


def error(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return raised.value.response["Error"]["Code"]


def described(kinesis, stream):
    return kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]


def test_encryption_is_recorded_and_shown(kinesis, stream):
    assert described(kinesis, stream)["EncryptionType"] == "NONE"
    key = {"StreamName": stream, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    kinesis.start_stream_encryption(**key)
    found = described(kinesis, stream)
    assert (found["EncryptionType"], found["KeyId"]) == ("KMS", "alias/aws/kinesis")
    assert kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="k")["EncryptionType"] == "KMS"
    put = kinesis.put_records(StreamName=stream, Records=[{"Data": b"y", "PartitionKey": "k"}])
    assert put["EncryptionType"] == "KMS"
    iterator = kinesis.get_shard_iterator(
        StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    records = kinesis.get_records(ShardIterator=iterator)["Records"]
    assert [(record["Data"], record["EncryptionType"]) for record in records] == [(b"x", "KMS"), (b"y", "KMS")]
    kinesis.stop_stream_encryption(**key)
    assert described(kinesis, stream)["EncryptionType"] == "NONE" and "KeyId" not in described(kinesis, stream)
    assert error(kinesis.start_stream_encryption, **{**key, "EncryptionType": "NONE"}) == "InvalidArgumentException"
    assert error(kinesis.start_stream_encryption, **{**key, "StreamName": "none"}) == "ResourceNotFoundException"


def test_metrics_of_shards_are_recorded_and_shown(kinesis, stream):
    def names(answer):
        return answer["CurrentShardLevelMetrics"], answer["DesiredShardLevelMetrics"]

    enabled = kinesis.enable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["OutgoingBytes", "IncomingBytes"])
    assert names(enabled) == ([], ["IncomingBytes", "OutgoingBytes"])
    assert described(kinesis, stream)["EnhancedMonitoring"] == [{"ShardLevelMetrics": ["IncomingBytes", "OutgoingBytes"]}]
    every = kinesis.enable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["ALL"])
    assert len(every["DesiredShardLevelMetrics"]) == 7
    disabled = kinesis.disable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["IncomingBytes"])
    assert len(disabled["CurrentShardLevelMetrics"]) == 7 and "IncomingBytes" not in disabled["DesiredShardLevelMetrics"]
    assert disabled["StreamARN"] == described(kinesis, stream)["StreamARN"]
    kinesis.disable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["ALL"])
    assert described(kinesis, stream)["EnhancedMonitoring"] == [{"ShardLevelMetrics": []}]
    assert error(kinesis.enable_enhanced_monitoring, StreamName=stream, ShardLevelMetrics=["None"]) == "ValidationException"


def test_resources_have_policies(kinesis, stream):
    arn = described(kinesis, stream)["StreamARN"]
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
    for resource in (arn, consumer):
        statement = {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "kinesis:DescribeStream*",
                     "Resource": resource}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        assert kinesis.get_resource_policy(ResourceARN=resource)["Policy"] == "{}"
        assert error(kinesis.delete_resource_policy, ResourceARN=resource) == "ResourceNotFoundException"
        kinesis.put_resource_policy(ResourceARN=resource, Policy=policy)
        assert kinesis.get_resource_policy(ResourceARN=resource)["Policy"] == policy
        wrong = policy.replace(resource, "*")
        assert error(kinesis.put_resource_policy, ResourceARN=resource, Policy=wrong) == "InvalidArgumentException"
        kinesis.delete_resource_policy(ResourceARN=resource)
        assert kinesis.get_resource_policy(ResourceARN=resource)["Policy"] == "{}"


def test_a_streams_policy_lets_callers_in(kinesis, server, stream):
    iam, user = server.client("iam"), f"reader-{uuid.uuid4().hex[:8]}"
    user_arn = iam.create_user(UserName=user)["User"]["Arn"]
    key = iam.create_access_key(UserName=user)["AccessKey"]
    reader = boto3.client("kinesis", endpoint_url=server.endpoint, region_name="us-east-1",
                          aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    assert error(reader.describe_stream_summary, StreamName=stream) == "AccessDeniedException"
    arn = described(kinesis, stream)["StreamARN"]
    statement = {"Effect": "Allow", "Principal": {"AWS": user_arn}, "Action": "kinesis:DescribeStreamSummary",
                 "Resource": arn}
    kinesis.put_resource_policy(ResourceARN=arn, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert described(reader, stream)["StreamName"] == stream
    assert error(reader.list_shards, StreamName=stream) == "AccessDeniedException"


def test_a_member_that_is_not_looked_at_opens_nothing(kinesis, server, stream):
    """Whoever may do everything with a stream of their own names it beside another one."""
    iam, user, own = server.client("iam"), f"owner-{uuid.uuid4().hex[:8]}", f"own-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=own, ShardCount=1)
    victim, mine = described(kinesis, stream)["StreamARN"], described(kinesis, own)["StreamARN"]
    iam.create_user(UserName=user)
    allowed = {"Effect": "Allow", "Action": "kinesis:*", "Resource": mine}
    iam.put_user_policy(UserName=user, PolicyName="own",
                        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    key = iam.create_access_key(UserName=user)["AccessKey"]

    def beside(call, **decoys):
        """Calls with members that the SDK would not send."""
        owner = boto3.client("kinesis", endpoint_url=server.endpoint, region_name="us-east-1",
                             aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

        def add(params, **_):
            params["body"] = json.dumps({**json.loads(params["body"]), **decoys}).encode()

        owner.meta.events.register("before-call.kinesis.*", add)
        return call(owner)

    policy = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kinesis:*", "Resource": victim}]})
    calls = [lambda owner: owner.put_resource_policy(ResourceARN=victim, Policy=policy),
             lambda owner: owner.get_resource_policy(ResourceARN=victim),
             lambda owner: owner.delete_resource_policy(ResourceARN=victim),
             lambda owner: owner.register_stream_consumer(StreamARN=victim, ConsumerName="c"),
             lambda owner: owner.update_max_record_size(StreamARN=victim, MaxRecordSizeInKiB=2048)]
    for call in calls:
        with pytest.raises(ClientError) as refused:
            beside(call, StreamName=own)
        assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert kinesis.get_resource_policy(ResourceARN=victim)["Policy"] == "{}"


def test_records_may_be_larger(kinesis, stream):
    big = {"StreamName": stream, "Data": b"x" * (3 << 20), "PartitionKey": "k"}
    assert error(kinesis.put_record, **big) == "ValidationException"
    arn = described(kinesis, stream)["StreamARN"]
    kinesis.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=4096)
    assert described(kinesis, stream)["MaxRecordSizeInKiB"] == 4096
    kinesis.put_record(**big)
    assert error(kinesis.update_max_record_size, StreamARN=arn, MaxRecordSizeInKiB=20_480) == "ValidationException"


def test_warm_throughput_is_recorded_of_streams_on_demand(kinesis, stream):
    arn = described(kinesis, stream)["StreamARN"]
    assert error(kinesis.update_stream_warm_throughput, StreamName=stream, WarmThroughputMiBps=7) == "InvalidArgumentException"
    provisioned, on_demand = {"StreamMode": "PROVISIONED"}, {"StreamMode": "ON_DEMAND"}
    assert error(kinesis.update_stream_mode, StreamARN=arn, StreamModeDetails=provisioned, WarmThroughputMiBps=7) == (
        "InvalidArgumentException")
    assert error(kinesis.create_stream, StreamName="warm", ShardCount=1, WarmThroughputMiBps=7) == "InvalidArgumentException"
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails=on_demand, WarmThroughputMiBps=7)
    assert described(kinesis, stream)["WarmThroughput"] == {"TargetMiBps": 7, "CurrentMiBps": 7}
    set_ = kinesis.update_stream_warm_throughput(StreamARN=arn, WarmThroughputMiBps=90)
    assert (set_["StreamName"], set_["StreamARN"]) == (stream, arn)
    assert described(kinesis, stream)["WarmThroughput"] == set_["WarmThroughput"] == {"TargetMiBps": 90, "CurrentMiBps": 90}
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails=on_demand)
    assert described(kinesis, stream)["WarmThroughput"]["TargetMiBps"] == 90, "what is not said stays"
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails=provisioned)
    assert "WarmThroughput" not in described(kinesis, stream)
    kinesis.create_stream(StreamName=stream + "-warm", StreamModeDetails=on_demand, WarmThroughputMiBps=5)
    assert described(kinesis, stream + "-warm")["WarmThroughput"]["CurrentMiBps"] == 5
    kinesis.delete_stream(StreamName=stream + "-warm")


def test_streams_and_consumers_have_tags_by_their_arns(kinesis, stream):
    arn = described(kinesis, stream)["StreamARN"]
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c", Tags={"a": "1"})["Consumer"]["ConsumerARN"]
    listed = lambda arn: {tag["Key"]: tag["Value"] for tag in kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"]}
    kinesis.tag_resource(ResourceARN=arn, Tags={"of": "stream"})
    kinesis.tag_resource(ResourceARN=consumer, Tags={"of": "consumer", "b": ""})
    assert (listed(arn), listed(consumer)) == ({"of": "stream"}, {"a": "1", "of": "consumer", "b": ""})
    kinesis.untag_resource(ResourceARN=consumer, TagKeys=["a", "none"])
    assert (listed(arn), listed(consumer)) == ({"of": "stream"}, {"of": "consumer", "b": ""})
    assert kinesis.list_tags_for_stream(StreamName=stream)["Tags"] == [{"Key": "of", "Value": "stream"}]
    many = {str(n): "" for n in range(49)}
    assert error(kinesis.tag_resource, ResourceARN=consumer, Tags=many) == "InvalidArgumentException"
    assert error(kinesis.list_tags_for_resource, ResourceARN=consumer + "0") == "ResourceNotFoundException"


def test_a_commitment_is_recorded_for_a_day_at_least(server):
    node = Node()
    try:
        kinesis = node.start().client("kinesis")
        member = "MinimumThroughputBillingCommitment"
        assert kinesis.describe_account_settings()[member] == {"Status": "DISABLED"}
        assert kinesis.update_account_settings(**{member: {"Status": "DISABLED"}})[member] == {"Status": "DISABLED"}
        made = kinesis.update_account_settings(**{member: {"Status": "ENABLED"}})[member]
        assert made["Status"] == "ENABLED"
        assert (made["EarliestAllowedEndAt"] - made["StartedAt"]).total_seconds() == 24 * 3600
        ending = kinesis.update_account_settings(**{member: {"Status": "DISABLED"}})[member]
        assert ending == {**made, "Status": "ENABLED_UNTIL_EARLIEST_ALLOWED_END"}
        assert node.stop() == 0
        kinesis = node.start().client("kinesis")
        assert kinesis.describe_account_settings()[member] == ending
        assert kinesis.update_account_settings(**{member: {"Status": "ENABLED"}})[member] == made
    finally:
        node.remove()


def test_every_operation_of_the_service_is_served_or_refused_by_name(server):
    """As the SDK knows the service; what is served tells which members it has to have."""
    kinesis = server.client("kinesis", parameter_validation=False)
    for operation in kinesis.meta.service_model.operation_names:
        call = getattr(kinesis, botocore.xform_name(operation))
        shape = kinesis.meta.service_model.operation_model(operation).input_shape
        # Products of their own behind the same address.
        product = next((word for word in ("Channel", "Queue") if word in operation), None)
        if product:
            with pytest.raises(ClientError) as refused:
                call()
            told = refused.value.response["Error"]
            assert told["Code"] == "InvalidArgumentException", (operation, told)
            assert f"{product}s" in told["Message"] and operation in told["Message"]
        elif shape.required_members:
            with pytest.raises(ClientError) as refused:
                call()
            told = refused.value.response["Error"]
            assert told["Code"] == "ValidationException", (operation, told)
            members = [f"'{name[0].lower()}{name[1:]}'" for name in shape.required_members]
            assert all(member in told["Message"] for member in members), (operation, told)


def test_a_mode_has_to_be_said(server, stream):
    kinesis = server.client("kinesis", parameter_validation=False)
    arn = described(kinesis, stream)["StreamARN"]
    assert error(kinesis.create_stream, StreamName="none", ShardCount=1, StreamModeDetails={}) == "ValidationException"
    assert error(kinesis.update_stream_mode, StreamARN=arn, StreamModeDetails={}) == "ValidationException"


def test_reads_of_a_shard_are_limited_where_that_is_set():
    node = Node(settings="kinesis_read_limits = true\n")
    try:
        kinesis = node.start().client("kinesis")
        kinesis.create_stream(StreamName="s", ShardCount=1)
        iterator = kinesis.get_shard_iterator(
            StreamName="s", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]

        def read_often():
            for _ in range(100):
                kinesis.get_records(ShardIterator=iterator)

        assert error(read_often) == "ProvisionedThroughputExceededException"
    finally:
        node.remove()


def test_all_of_it_is_there_after_a_restart():
    node = Node()
    try:
        kinesis = node.start().client("kinesis")
        kinesis.create_stream(StreamName="s", ShardCount=1)
        arn = described(kinesis, "s")["StreamARN"]
        consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
        kinesis.start_stream_encryption(StreamName="s", EncryptionType="KMS", KeyId="k")
        kinesis.put_record(StreamName="s", Data=b"1", PartitionKey="k", ExplicitHashKey="0")
        kinesis.split_shard(StreamName="s", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
        shards = kinesis.list_shards(StreamName="s")["Shards"]
        # Subscriptions do not hold up the end of the node.
        position = {"Type": "TRIM_HORIZON"}
        events = kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId="shardId-000000000001", StartingPosition=position)
        assert node.stop() == 0
        assert list(events["EventStream"]) == []
        kinesis = node.start().client("kinesis")
        assert kinesis.list_shards(StreamName="s")["Shards"] == shards
        assert described(kinesis, "s")["KeyId"] == "k" and described(kinesis, "s")["ConsumerCount"] == 1
        put = kinesis.put_record(StreamName="s", Data=b"2", PartitionKey="k", ExplicitHashKey="0")
        assert put["ShardId"] == "shardId-000000000001"
    finally:
        node.remove()
