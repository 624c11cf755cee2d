"""Azure Cosmos DB for NoSQL, as the service's own Python SDK speaks to it."""

import asyncio
import base64
import concurrent.futures
import datetime
import time
import uuid

import pytest
from azure.core import MatchConditions
from azure.cosmos import CosmosClient, PartitionKey, ThroughputProperties
from azure.cosmos.aio import CosmosClient as AsyncCosmosClient
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from azure.cosmos.partition_key import NonePartitionKeyValue, NullPartitionKeyValue

# The published key of every emulator of this service; nodes for development accept it.
KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="


@pytest.fixture(scope="module")
def client(node):
    with CosmosClient(node.endpoint + "/", credential=KEY) as client:
        yield client


@pytest.fixture
def database(client):
    database = client.create_database(f"shop-{uuid.uuid4()}")
    yield database
    client.delete_database(database.id)


@pytest.fixture
def orders(database):
    return database.create_container("orders", partition_key=PartitionKey(path="/user"))


def order(number, user="ann", **more):
    return {"id": str(number), "user": user, "total": number, **more}


def all_of(container, query, **options):
    return list(container.query_items(query, enable_cross_partition_query=True, **options))


def refused(error, status, text):
    assert error.value.status_code == status
    assert text in str(error.value)


def test_databases_and_containers(client):
    name = f"life-{uuid.uuid4()}"
    database = client.create_database(name)
    with pytest.raises(CosmosResourceExistsError):
        client.create_database(name)
    assert client.create_database_if_not_exists(name).id == name
    assert name in [found["id"] for found in client.list_databases()]
    query = {"query": "SELECT * FROM r WHERE r.id = @id", "parameters": [{"name": "@id", "value": name}]}
    assert [found["id"] for found in client.query_databases(**query)] == [name]
    container = database.create_container("orders", partition_key=PartitionKey(path="/user"), offer_throughput=400)
    with pytest.raises(CosmosResourceExistsError):
        database.create_container("orders", partition_key=PartitionKey(path="/user"))
    assert database.create_container_if_not_exists("orders", partition_key=PartitionKey(path="/user")).id == "orders"
    properties = container.read()
    assert properties["partitionKey"] == {"paths": ["/user"], "kind": "Hash", "version": 2}
    assert [found["id"] for found in database.list_containers()] == ["orders"]
    policy = {"indexingMode": "consistent", "automatic": True, "includedPaths": [{"path": "/user/?"}], "excludedPaths": [{"path": "/*"}]}
    database.replace_container("orders", partition_key=PartitionKey(path="/user"), indexing_policy=policy)
    assert container.read()["indexingPolicy"] == policy
    database.delete_container("orders")
    with pytest.raises(CosmosResourceNotFoundError):
        container.read()
    with pytest.raises(CosmosResourceNotFoundError):
        container.create_item(order(1))
    client.delete_database(name)
    with pytest.raises(CosmosResourceNotFoundError):
        database.read()


def test_items_are_created_read_replaced_and_deleted(orders):
    made = orders.create_item(order(1, text="grüße 😀"))
    assert made["_ts"] > 1_700_000_000 and made["_etag"] and made["_rid"] and made["_self"]
    with pytest.raises(CosmosResourceExistsError):
        orders.create_item(order(1))
    assert orders.read_item("1", partition_key="ann") == made
    replaced = orders.replace_item("1", {**made, "total": 7})
    assert replaced["total"] == 7 and replaced["_etag"] != made["_etag"]
    upserted = orders.upsert_item({"id": "1", "user": "ann", "total": 8})
    assert upserted["total"] == 8 and "text" not in upserted
    assert orders.upsert_item(order(2))["id"] == "2"
    with pytest.raises(CosmosResourceNotFoundError):
        orders.read_item("1", partition_key="bob")
    with pytest.raises(CosmosResourceNotFoundError):
        orders.replace_item("9", order(9))
    orders.delete_item("1", partition_key="ann")
    with pytest.raises(CosmosResourceNotFoundError):
        orders.delete_item("1", partition_key="ann")
    generated = orders.create_item({"user": "ann"}, enable_automatic_id_generation=True)
    assert orders.read_item(generated["id"], partition_key="ann")["user"] == "ann"
    strange = "a b%+é'\"&=:@"
    orders.create_item(order(1) | {"id": strange})
    assert orders.read_item(strange, partition_key="ann")["id"] == strange
    assert orders.upsert_item(order(3), no_response=True) == {}


def test_writes_with_etags_are_refused_when_others_were_faster(orders):
    first = orders.create_item(order(1))
    second = orders.replace_item("1", order(1, step=2), etag=first["_etag"], match_condition=MatchConditions.IfNotModified)
    stale = {"etag": first["_etag"], "match_condition": MatchConditions.IfNotModified}
    for write in [
        lambda: orders.replace_item("1", order(1, step=3), **stale),
        lambda: orders.upsert_item(order(1, step=3), **stale),
        lambda: orders.delete_item("1", partition_key="ann", **stale),
        lambda: orders.patch_item("1", "ann", [{"op": "set", "path": "/step", "value": 3}], **stale),
    ]:
        with pytest.raises(CosmosAccessConditionFailedError):
            write()
    assert orders.read_item("1", partition_key="ann") == second
    orders.delete_item("1", partition_key="ann", etag=second["_etag"], match_condition=MatchConditions.IfNotModified)


def test_patches(orders):
    orders.create_item(order(1, tags=["a"]))
    patched = orders.patch_item("1", "ann", [
        {"op": "incr", "path": "/total", "value": 2},
        {"op": "add", "path": "/tags/-", "value": "b"},
        {"op": "set", "path": "/state", "value": "paid"},
    ], filter_predicate="FROM c WHERE c.total = 1")
    assert (patched["total"], patched["tags"], patched["state"]) == (3, ["a", "b"], "paid")
    with pytest.raises(CosmosAccessConditionFailedError):
        orders.patch_item("1", "ann", [{"op": "remove", "path": "/state"}], filter_predicate="FROM c WHERE c.total = 1")
    with pytest.raises(CosmosHttpResponseError) as error:
        orders.patch_item("1", "ann", [{"op": "replace", "path": "/none", "value": 1}])
    refused(error, 400, "/none")


def test_transactional_batches(orders):
    results = orders.execute_item_batch([
        ("create", (order(1),)),
        ("upsert", (order(2),)),
        ("replace", ("1", order(1) | {"total": 9})),
        ("patch", ("2", [{"op": "incr", "path": "/total", "value": 5}])),
        ("read", ("2",)),
        ("delete", ("1",)),
    ], partition_key="ann")
    assert [result["statusCode"] for result in results] == [201, 201, 200, 200, 200, 204]
    assert results[4]["resourceBody"]["total"] == 7
    with pytest.raises(CosmosBatchOperationError) as error:
        orders.execute_item_batch([("create", (order(3),)), ("create", (order(2),))], partition_key="ann")
    assert (error.value.status_code, error.value.error_index) == (409, 1)
    assert [item["id"] for item in orders.read_all_items()] == ["2"]


def test_partition_keys(database, orders):
    for user in ["ann", 1, 1.5, True, None]:
        orders.create_item({"id": "same", "user": user})
        key = NullPartitionKeyValue if user is None else user
        assert orders.read_item("same", partition_key=key)["user"] == user
    assert len(list(orders.read_all_items())) == 5
    assert len(list(orders.query_items("SELECT * FROM c", partition_key="ann"))) == 1
    with pytest.raises(CosmosHttpResponseError) as error:
        orders.replace_item("same", {"id": "other", "user": "ann"})
    refused(error, 400, "id")
    orders.create_item({"id": "homeless"})
    assert orders.read_item("homeless", partition_key=NonePartitionKeyValue)["id"] == "homeless"
    levels = database.create_container("levels", partition_key=PartitionKey(path=["/tenant", "/user"], kind="MultiHash"))
    levels.create_item({"id": "1", "tenant": "t", "user": "u", "n": 1})
    assert levels.read_item("1", partition_key=["t", "u"])["n"] == 1
    assert [found["n"] for found in levels.query_items("SELECT * FROM c", partition_key=["t", "u"])] == [1]
    deep = database.create_container("deep", partition_key=PartitionKey(path="/address/city"))
    deep.create_item({"id": "1", "address": {"city": "Oslo"}})
    assert deep.read_item("1", partition_key="Oslo")["id"] == "1"


def test_queries(orders):
    for number in range(20):
        orders.create_item(order(number, user=f"user-{number % 3}", even=number % 2 == 0, lines=[{"n": number}]))
    dear = "SELECT VALUE c.total FROM c WHERE c.total >= @least AND c.even = true ORDER BY c.total DESC"
    assert all_of(orders, dear, parameters=[{"name": "@least", "value": 14}]) == [18, 16, 14]
    assert all_of(orders, "SELECT TOP 2 c.id, c.total FROM c ORDER BY c.total") == [{"id": "0", "total": 0}, {"id": "1", "total": 1}]
    assert all_of(orders, "SELECT VALUE c.total FROM c ORDER BY c.even DESC, c.total ASC OFFSET 9 LIMIT 3") == [18, 1, 3]
    assert all_of(orders, "SELECT VALUE COUNT(1) FROM c") == [20]
    assert all_of(orders, "SELECT VALUE SUM(c.total) FROM c WHERE c.user = 'user-0'") == [63]
    assert all_of(orders, "SELECT VALUE AVG(c.total) FROM c") == [9.5]
    assert all_of(orders, "SELECT MIN(c.total) AS low, MAX(c.total) AS high FROM c") == [{"low": 0, "high": 19}]
    groups = all_of(orders, "SELECT c.user, COUNT(1) AS n FROM c GROUP BY c.user")
    assert sorted((group["user"], group["n"]) for group in groups) == [("user-0", 7), ("user-1", 7), ("user-2", 6)]
    assert sorted(all_of(orders, "SELECT DISTINCT VALUE c.user FROM c")) == ["user-0", "user-1", "user-2"]
    assert sorted(all_of(orders, "SELECT VALUE l.n FROM c JOIN l IN c.lines WHERE l.n < 2")) == [0, 1]
    assert all_of(orders, "SELECT VALUE c.id FROM c WHERE c.id IN ('3', 'x') OR c.total BETWEEN 100 AND 200") == ["3"]
    assert all_of(orders, "SELECT VALUE c.id FROM c WHERE STARTSWITH(c.user, 'USER-0', true) AND c.id LIKE '1_'") is not None
    orders.upsert_item(order(90, lines=[{"sku": "a", "count": 1}, {"sku": "b", "count": 9}]))
    lines = "SELECT VALUE c.id FROM c WHERE EXISTS(SELECT VALUE l FROM l IN c.lines WHERE l.sku = 'b' AND l.count > {})"
    assert all_of(orders, lines.format(8)) == ["90"] and all_of(orders, lines.format(9)) == []
    orders.delete_item("90", partition_key=order(90)["user"])
    own = list(orders.query_items("SELECT VALUE c.total FROM c WHERE c.user = 'user-2' ORDER BY c.total"))
    assert own == [2, 5, 8, 11, 14, 17]
    with pytest.raises(CosmosHttpResponseError) as error:
        list(orders.query_items("SELECT * FROM c"))
    refused(error, 400, "Cross partition query is required but disabled")


def test_pages(orders):
    for number in range(25):
        orders.create_item(order(number, user=f"user-{number % 5}"))
    for query in ["SELECT VALUE c.total FROM c", "SELECT VALUE c.total FROM c ORDER BY c.total"]:
        pages = orders.query_items(query, enable_cross_partition_query=True, max_item_count=10).by_page()
        sizes, token = [len(list(next(pages)))], pages.continuation_token
        assert token
        rest = orders.query_items(query, enable_cross_partition_query=True, max_item_count=10).by_page(token)
        sizes += [len(list(page)) for page in rest]
        assert sizes == [10, 10, 5]
    assert sorted(all_of(orders, "SELECT VALUE c.total FROM c", max_item_count=7)) == list(range(25))
    assert len(list(orders.read_all_items(max_item_count=4))) == 25
    (whole,) = orders.read_feed_ranges()
    assert len(list(orders.query_items("SELECT * FROM c", feed_range=whole))) == 25
    keys = [(str(number), f"user-{number % 5}") for number in range(25)]
    assert len(orders.read_items(keys)) == 25


def test_errors_name_what_is_wrong(client, database, orders):
    for query, text in [
        ("SELECT * FROM c WHERE", "expected an expression"),
        ("SELECT NOPE(c.a) FROM c", "NOPE"),
        ("SELECT VALUE ST_DISTANCE(c.a, c.b) FROM c", "ST_DISTANCE is not supported"),
        ("SELECT * FROM c WHERE EXISTS(SELECT 1)", "a subquery without FROM is not supported"),
    ]:
        with pytest.raises(CosmosHttpResponseError) as error:
            all_of(orders, query)
        refused(error, 400, text)
    with pytest.raises(CosmosHttpResponseError) as error:
        orders.create_item({"id": "x" * 256, "user": "ann"})
    refused(error, 400, "1 to 255 characters")
    with pytest.raises(CosmosHttpResponseError) as error:
        orders.create_item(order(1, text="x" * (2 << 20)))
    refused(error, 413, "too large")
    assert len(orders.upsert_item(order(1, text="x" * (2_000_000)))["text"]) == 2_000_000
    with pytest.raises(CosmosHttpResponseError) as error:
        database.create_container("ttl", partition_key=PartitionKey(path="/user"), default_ttl=0)
    refused(error, 400, "time to live")
    with pytest.raises(CosmosHttpResponseError) as error:
        list(orders.query_items_change_feed(mode="AllVersionsAndDeletes"))
    refused(error, 400, "Change feeds of all versions")
    with pytest.raises(CosmosHttpResponseError) as error:
        orders.scripts.create_stored_procedure({"id": "p", "body": "function () {}"})
    refused(error, 400, "Stored procedures")


def test_throughput_is_kept_and_told(client, database):
    manual = database.create_container("manual", partition_key=PartitionKey(path="/user"), offer_throughput=400)
    assert manual.get_throughput().offer_throughput == 400
    assert manual.replace_throughput(700).offer_throughput == 700 and manual.get_throughput().offer_throughput == 700
    scaled = database.create_container("scaled", partition_key=PartitionKey(path="/user"),
                                       offer_throughput=ThroughputProperties(auto_scale_max_throughput=4000))
    assert scaled.get_throughput().auto_scale_max_throughput == 4000
    scaled.replace_throughput(ThroughputProperties(auto_scale_max_throughput=6000))
    assert scaled.get_throughput().auto_scale_max_throughput == 6000
    shared = client.create_database(f"shared-{uuid.uuid4()}", offer_throughput=1000)
    assert shared.get_throughput().offer_throughput == 1000
    client.delete_database(shared.id)
    with pytest.raises(CosmosHttpResponseError) as error:
        manual.replace_throughput(450)
    refused(error, 400, "in steps of 100")
    with pytest.raises(CosmosHttpResponseError) as error:
        database.create_container("little", partition_key=PartitionKey(path="/user"), offer_throughput=100)
    refused(error, 400, "from 400")
    assert "little" not in [found["id"] for found in database.list_containers()]
    plain = database.create_container("plain", partition_key=PartitionKey(path="/user"))
    # There is no offer. The SDK says so, then stumbles over its own retry for containers that were made anew.
    with pytest.raises((CosmosResourceNotFoundError, AttributeError)):
        plain.get_throughput()


def test_unique_keys_are_unique_in_a_partition(node, database):
    policy = {"uniqueKeys": [{"paths": ["/email"]}, {"paths": ["/name/first", "/name/last"]}]}
    people = database.create_container("people", partition_key=PartitionKey(path="/user"), unique_key_policy=policy)
    assert people.read()["uniqueKeyPolicy"] == policy
    person = lambda number, email, first="a", user="ann": order(number, user=user, email=email, name={"first": first, "last": str(number)})

    def clashes(call, *arguments, **named):
        with pytest.raises(CosmosResourceExistsError) as error:
            call(*arguments, **named)
        refused(error, 409, "Unique index constraint violation")

    people.create_item(person(1, "1@x"))
    clashes(people.create_item, person(2, "1@x"))
    clashes(people.upsert_item, {**person(2, "2@x"), "name": {"first": "a", "last": "1"}})
    people.create_item(person(1, "1@x", user="bob"))
    people.create_item(person(2, "2@x"))
    clashes(people.replace_item, "2", person(2, "1@x"))
    clashes(people.patch_item, "2", partition_key="ann", patch_operations=[{"op": "set", "path": "/email", "value": "1@x"}])
    people.replace_item("1", person(1, "new@x"))
    people.patch_item("2", partition_key="ann", patch_operations=[{"op": "set", "path": "/email", "value": "1@x"}])
    people.delete_item("2", partition_key="ann")
    people.create_item(person(3, "1@x"))
    with pytest.raises(CosmosBatchOperationError) as error:
        people.execute_item_batch([("create", (person(4, "4@x"),)), ("create", (person(5, "4@x"),))], partition_key="ann")
    assert error.value.status_code == 409
    people.execute_item_batch([("create", (person(4, "4@x"),)), ("create", (person(5, "5@x"),))], partition_key="ann")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        def made(number):
            try:
                people.create_item(person(number, "race@x"))
                return 1
            except CosmosResourceExistsError:
                return 0
        assert sum(pool.map(made, range(10, 18))) == 1
    node.kill()
    node.start()
    clashes(people.create_item, person(6, "new@x"))
    with pytest.raises(CosmosHttpResponseError) as error:
        database.create_container("bad", partition_key=PartitionKey(path="/user"), unique_key_policy={"uniqueKeys": [{"paths": ["email"]}]})
    refused(error, 400, "email")


def test_all_items_of_a_partition_key_are_deleted(database, orders):
    for number in range(30):
        orders.create_item(order(number, user="ann" if number % 3 else "bob"))
    orders.delete_all_items_by_partition_key("ann")
    assert {item["user"] for item in orders.read_all_items()} == {"bob"} and len(list(orders.read_all_items())) == 10
    orders.delete_all_items_by_partition_key("nobody")


def test_items_end_when_their_time_is_over(database):
    brief = database.create_container("brief", partition_key=PartitionKey(path="/user"), default_ttl=2)
    assert brief.read()["defaultTtl"] == 2
    brief.create_item(order(1))
    brief.create_item(order(2, ttl=-1))
    brief.create_item(order(3, ttl=600))
    with pytest.raises(CosmosHttpResponseError) as error:
        brief.create_item(order(4, ttl=0))
    refused(error, 400, "time to live")
    deadline = time.monotonic() + 30
    while len(all_of(brief, "SELECT * FROM c")) == 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert sorted(item["id"] for item in brief.read_all_items()) == ["2", "3"]
    with pytest.raises(CosmosResourceNotFoundError):
        brief.read_item("1", partition_key="ann")
    brief.create_item(order(1))
    changed = database.replace_container("brief", partition_key=PartitionKey(path="/user"), default_ttl=None)
    assert "defaultTtl" not in changed.read()


def test_the_feed_of_changes(database, orders):
    def changes(**options):
        found = [(item["id"], item["total"]) for item in orders.query_items_change_feed(**options)]
        # Where the client says that the continuation is.
        return found, orders.client_connection.last_response_headers["etag"]

    now, at_now = changes(start_time="Now")
    assert now == []
    for number in range(5):
        orders.create_item(order(number))
    orders.upsert_item({**order(1), "total": 11})
    orders.delete_item("2", partition_key="ann")
    everything = [("0", 0), ("3", 3), ("4", 4), ("1", 11)]
    seen, behind = changes(start_time="Beginning")
    assert seen == everything
    assert changes(continuation=at_now)[0] == everything
    assert changes(continuation=behind)[0] == []
    time.sleep(1.1)
    later = datetime.datetime.now(datetime.timezone.utc)
    orders.create_item(order(7, user="bob"))
    assert changes(continuation=behind)[0] == [("7", 7)]
    assert changes(start_time=later)[0] == [("7", 7)]
    assert changes(start_time="Beginning", partition_key="bob")[0] == [("7", 7)]
    assert changes(start_time="Beginning", partition_key="nobody")[0] == []
    [whole] = orders.read_feed_ranges()
    assert changes(start_time="Beginning", feed_range=whole)[0] == everything + [("7", 7)]
    bob = orders.feed_range_from_partition_key("bob")
    assert changes(start_time="Beginning", feed_range=bob)[0] == [("7", 7)]
    pages = orders.query_items_change_feed(start_time="Beginning", max_item_count=2).by_page()
    assert [item["id"] for item in next(pages)] == ["0", "1"]
    assert [[item["id"] for item in page] for page in pages] == [["3", "4"], ["1", "7"]]
    # Parts of the keys are read by queries, too.
    assert [item["id"] for item in orders.query_items("SELECT * FROM c", feed_range=bob)] == ["7"]


def test_changes_are_told_behind_a_crash(node, database, orders):
    orders.create_item(order(1))
    list(orders.query_items_change_feed(start_time="Beginning"))
    behind = orders.client_connection.last_response_headers["etag"]
    orders.create_item(order(2))
    node.kill()
    node.start()
    assert [item["id"] for item in orders.query_items_change_feed(continuation=behind)] == ["2"]


def test_another_key_is_refused(node):
    wrong = base64.b64encode(b"x" * 64).decode()
    with pytest.raises(CosmosHttpResponseError) as error:
        CosmosClient(node.endpoint + "/", credential=wrong)
    refused(error, 401, "The wrong key is being used")


def test_a_container_made_anew_is_another_one(node, database):
    orders = database.create_container("again", partition_key=PartitionKey(path="/user"))
    orders.create_item(order(1))
    with CosmosClient(node.endpoint + "/", credential=KEY) as other:
        other.get_database_client(database.id).delete_container("again")
        other.get_database_client(database.id).create_container("again", partition_key=PartitionKey(path="/user"))
    assert list(orders.read_all_items()) == []
    orders.create_item(order(1))
    assert orders.read_item("1", partition_key="ann")["total"] == 1


def test_the_asynchronous_client(node, database):

    async def run():
        async with AsyncCosmosClient(node.endpoint + "/", credential=KEY) as client:
            container = await client.get_database_client(database.id).create_container(
                "later", partition_key=PartitionKey(path="/user"))
            await asyncio.gather(*(container.create_item(order(number)) for number in range(10)))
            assert (await container.read_item("3", partition_key="ann"))["total"] == 3
            query = "SELECT VALUE c.total FROM c WHERE c.total > @n ORDER BY c.total"
            found = container.query_items(query, parameters=[{"name": "@n", "value": 6}], max_item_count=2)
            assert [total async for total in found] == [7, 8, 9]
            with pytest.raises(CosmosResourceExistsError):
                await container.create_item(order(3))

    asyncio.run(run())


def test_one_of_many_writers_wins(orders):
    from concurrent.futures import ThreadPoolExecutor

    def create(number):
        try:
            return orders.create_item(order("one", writer=number))["writer"]
        except CosmosResourceExistsError:
            return None

    with ThreadPoolExecutor(8) as pool:
        winners = [writer for writer in pool.map(create, range(16)) if writer is not None]
    assert len(winners) == 1
    assert orders.read_item("one", partition_key="ann")["writer"] == winners[0]


def test_containers_are_no_tables_of_dynamodb(node, orders):
    assert not [name for name in node.client("dynamodb").list_tables()["TableNames"] if "orders" in name]


def test_documents_survive_a_crash(node, client, database, orders):
    for number in range(5):
        orders.create_item(order(number))
    before = orders.read_item("3", partition_key="ann")
    node.kill()
    node.start()
    assert orders.read_item("3", partition_key="ann") == before
    assert all_of(orders, "SELECT VALUE COUNT(1) FROM c") == [5]
    assert database.id in [found["id"] for found in client.list_databases()]
