"""The resource manager's calls with its own SDKs, on a node outside of development: namespaces, jobs and topics by a token of
the node."""

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError
from azure.core.pipeline.policies import HeadersPolicy
from azure.mgmt.eventgrid import EventGridManagementClient
from azure.mgmt.eventhub import EventHubManagementClient
from azure.mgmt.streamanalytics import StreamAnalyticsManagementClient
from azure.mgmt.streamanalytics.models import (
    EventHubStreamInputDataSource, Input, JsonSerialization, StreamInputProperties, Transformation)

from conftest import Node


@pytest.fixture(scope="module")
def guarded():
    node = Node(development=False)
    try:
        node.start()
        node.token = node.run("keys").split("management, bearer token")[1].split()[0]
        yield node
    finally:
        node.remove()


class NoCredential:
    """The clients want one, and ask it for nothing: the header is set by the policy."""

    def get_token(self, *_, **__):
        raise AssertionError("not asked")


def client(kind, node, token=None, **options):
    # The SDK's own policy sends tokens under TLS only.
    policy = HeadersPolicy({"Authorization": f"Bearer {token or node.token}"})
    return kind(NoCredential(), "subscription", base_url=node.endpoint, authentication_policy=policy, retry_total=0,
                polling_interval=0, **options)


def test_only_the_nodes_token_manages(guarded):
    for token in ["wrong", guarded.token[:-1], guarded.token + "0"]:
        with pytest.raises(ClientAuthenticationError):
            client(EventHubManagementClient, guarded, token).namespaces.get("group", "default")


def test_namespaces_hubs_groups_and_keys(guarded):
    hubs = client(EventHubManagementClient, guarded)
    made = hubs.namespaces.begin_create_or_update("group", "shop", {"location": "local"}).result()
    assert made.name == "shop"
    hub = hubs.event_hubs.create_or_update("group", "shop", "orders", {"properties": {"partitionCount": 3}})
    assert hub.partition_ids == ["0", "1", "2"]
    hubs.consumer_groups.create_or_update("group", "shop", "orders", "audit", {})
    groups = hubs.consumer_groups.list_by_event_hub("group", "shop", "orders")
    assert {group.name for group in groups} == {"$Default", "audit"}
    hubs.event_hubs.create_or_update_authorization_rule("group", "shop", "orders", "sender", {"properties": {"rights": ["Send"]}})
    keys = hubs.event_hubs.list_keys("group", "shop", "orders", "sender")
    assert "EntityPath=orders" in keys.primary_connection_string
    assert [one.name for one in hubs.event_hubs.list_by_namespace("group", "shop")] == ["orders"]
    hubs.event_hubs.delete("group", "shop", "orders")
    with pytest.raises(ResourceNotFoundError):
        hubs.event_hubs.get("group", "shop", "orders")


def test_topics_and_subscriptions(guarded):
    grid = client(EventGridManagementClient, guarded)
    topic = grid.topics.begin_create_or_update("group", "orders", {"location": "local"}).result()
    assert topic.endpoint.endswith("/api/events")
    assert grid.topics.list_shared_access_keys("group", "orders").key1
    assert [one.name for one in grid.topics.list_by_resource_group("group")] == ["orders"]
    grid.topics.begin_delete("group", "orders").result()
    with pytest.raises(ResourceNotFoundError):
        grid.topics.get("group", "orders")


def test_a_job_with_its_parts(guarded):
    hubs = client(EventHubManagementClient, guarded)
    hubs.event_hubs.create_or_update("group", "default", "trades", {"properties": {"partitionCount": 1}})
    jobs = client(StreamAnalyticsManagementClient, guarded)
    job = jobs.streaming_jobs.begin_create_or_replace("group", "totals", {"location": "local", "sku": {"name": "Standard"}}).result()
    assert job.name == "totals" and job.job_state == "Created"
    query = Transformation(streaming_units=1, query="SELECT a INTO o FROM trades")
    jobs.transformations.create_or_replace("group", "totals", "query", query)
    assert jobs.transformations.get("group", "totals", "query").query == "SELECT a INTO o FROM trades"
    source = EventHubStreamInputDataSource(service_bus_namespace="default", event_hub_name="trades",
                                           shared_access_policy_name="RootManageSharedAccessKey")
    properties = StreamInputProperties(datasource=source, serialization=JsonSerialization(encoding="UTF8", format="LineSeparated"))
    jobs.inputs.create_or_replace("group", "totals", "trades", Input(properties=properties))
    assert [one.name for one in jobs.inputs.list_by_streaming_job("group", "totals")] == ["trades"]
    assert [one.name for one in jobs.streaming_jobs.list_by_resource_group("group")] == ["totals"]
    jobs.streaming_jobs.begin_delete("group", "totals").result()


def test_who_may_not_is_told_so_before_the_body_is_taken(guarded):
    """A body larger than any that is taken: who is known gets to hear of its size, who is not does not."""
    provider = "/subscriptions/s/resourceGroups/g/providers"
    namespace = f"{provider}/Microsoft.EventHub/namespaces/large?api-version=2024-01-01"
    too_large = b" " * (9 << 20)
    sas = "SharedAccessSignature sr=x&sig=eA%3D%3D&se=4102444800&skn=RootManageSharedAccessKey"
    client(EventGridManagementClient, guarded).topics.begin_create_or_update("g", "large", {"location": "l"}).result()
    for method, path, headers in [
        ("PUT", namespace, {"Authorization": "Bearer wrong"}),
        ("PUT", f"{provider}/Microsoft.EventGrid/topics/t?api-version=2022-06-15", {"Authorization": "Bearer wrong"}),
        ("PUT", f"{provider}/Microsoft.StreamAnalytics/streamingjobs/j?api-version=2020-03-01", {}),
        ("PUT", f"{provider}/Microsoft.ApiManagement/service/s?api-version=2022-08-01", {"Authorization": "Basic x"}),
        ("POST", "/eventgrid/large/api/events?api-version=2018-01-01", {"aeg-sas-key": "wrong"}),
        ("POST", "/hub/messages", {"Authorization": sas}),
        ("POST", "/dbs", {"x-ms-version": "2020-07-15", "Authorization": "type%3Dmaster%26ver%3D1.0%26sig%3DeA%3D%3D",
                          "x-ms-date": "Sat, 21 Nov 2026 07:49:50 GMT"}),
    ]:
        answer = requests.request(method, guarded.endpoint + path, headers=headers, data=too_large, timeout=30)
        assert answer.status_code in (401, 403), (path, answer.status_code, answer.text)
    known = {"Authorization": f"Bearer {guarded.token}"}
    assert requests.put(guarded.endpoint + namespace, headers=known, data=too_large, timeout=30).status_code == 413
