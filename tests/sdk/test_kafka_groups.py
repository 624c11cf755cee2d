"""Groups of Kafka's consumers with librdkafka's own client."""

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from kafka_clients import WAIT, admin, joined, make, name, plain, poll, produce, Raw, until_assigned


@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_a_group_shares_partitions_and_goes_on_where_it_was(node, strategy):
    topic, group = make(node, name(), 4), name("group")
    partitions = [(topic, number) for number in range(4)]
    settings = {"partition.assignment.strategy": strategy}
    first, second = joined(node, group, [topic], **settings), joined(node, group, [topic], **settings)
    shares = until_assigned([first, second], partitions)
    assert [len(share) for share in shares] == [2, 2]
    described = admin(node).describe_consumer_groups([group])[group].result(WAIT)
    assert described.state.name == "STABLE" and len(described.members) == 2
    second.close()
    until_assigned([first], partitions)
    for partition in range(4):
        produce(node, topic, plain([b"a", b"b", b"c"], partition))
    found = poll(first, 12)
    assert len(found) == 12
    first.commit(offsets=[TopicPartition(topic, number, 2, metadata="two") for number in range(4)], asynchronous=False)
    first.close()
    again = joined(node, group, [topic], **settings)
    try:
        assert sorted((message.partition(), message.value()) for message in poll(again, 4)) == [
            (number, b"c") for number in range(4)]
        assert [(part.offset, part.metadata) for part in again.committed(
            [TopicPartition(topic, 0)], timeout=WAIT)] == [(2, "two")]
    finally:
        again.close()


def test_a_member_that_dies_is_replaced(node):
    topic, group = make(node, name(), 2), name("group")
    partitions = [(topic, 0), (topic, 1)]
    # A member over a socket of our own, which dies without a word.
    dead = Raw(node)
    error, member = dead.join(group)
    assert error == 79
    error, _ = dead.join(group, member)
    assert error == 0
    dead.close()
    alive = joined(node, group, [topic])
    try:
        until_assigned([alive], partitions)
    finally:
        alive.close()


@pytest.mark.parametrize("goes", ["one", "two"], ids=["leader", "other"])
def test_static_members_come_back_without_a_new_generation(node, goes):
    topic, group, revoked = make(node, name(), 2), name("group"), []

    def member(called):
        settings = {"partition.assignment.strategy": "range", "session.timeout.ms": 60_000}
        return joined(node, group, [topic], lambda *_: revoked.append(called), **{"group.instance.id": called, **settings})

    # The first that comes leads.
    members = {"one": member("one")}
    until_assigned([members["one"]], [(topic, 0), (topic, 1)])
    members["two"] = member("two")
    shares = until_assigned([members["one"], members["two"]], [(topic, 0), (topic, 1)])
    members[goes].close()
    revoked.clear()
    members[goes] = member(goes)
    try:
        assert until_assigned([members["one"], members["two"]], [(topic, 0), (topic, 1)]) == shares
        assert not revoked, "a new generation takes everybody's partitions away"
    finally:
        for member in members.values():
            member.close()


def test_groups_are_listed_and_deleted(node):
    topic, group = make(node, name()), name("group")
    produce(node, topic, plain([b"a"]))
    consumer = joined(node, group, [topic])
    assert len(poll(consumer, 1)) == 1
    consumer.commit(asynchronous=False)
    client = admin(node)
    with pytest.raises(KafkaException) as refused:
        client.delete_consumer_groups([group])[group].result(WAIT)
    assert refused.value.args[0].code() == KafkaError.NON_EMPTY_GROUP
    consumer.close()
    assert group in [listed.group_id for listed in client.list_consumer_groups().result(WAIT).valid]
    client.delete_consumer_groups([group])[group].result(WAIT)
    assert group not in [listed.group_id for listed in client.list_consumer_groups().result(WAIT).valid]
    with pytest.raises(KafkaException) as missing:
        client.delete_consumer_groups([group])[group].result(WAIT)
    assert missing.value.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND
