"""Blob storage through azure-storage-blob: containers, blobs, signatures, and what other services wrote."""

import base64
import hashlib
import http.client
import os
import time
import uuid
from datetime import datetime, timedelta, timezone

import pytest
import requests
from azure.core import MatchConditions
from azure.core.exceptions import (ClientAuthenticationError, HttpResponseError, ResourceExistsError,
                                   ResourceModifiedError, ResourceNotFoundError)
from azure.storage.blob import (AccountSasPermissions, BlobBlock, BlobClient, BlobLeaseClient, BlobSasPermissions, BlobServiceClient,
                                ContainerClient, ContainerSasPermissions, ContentSettings, CorsRule,
                                PartialBatchErrorException, ResourceTypes, RetentionPolicy,
                                generate_account_sas, generate_blob_sas, generate_container_sas)

from conftest import Node

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
ROLE = "arn:aws:iam::000000000000:role/any"


def connect(server, **options):
    text = (f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={server.endpoint}/{ACCOUNT};")
    return BlobServiceClient.from_connection_string(text, retry_total=0, **options)


@pytest.fixture(scope="module")
def service(server):
    return connect(server)


@pytest.fixture
def container(service):
    container = service.create_container(f"c-{uuid.uuid4().hex[:12]}")
    yield container
    if container.exists():
        container.delete_container()


def error(call, *arguments, kind=HttpResponseError, **named):
    with pytest.raises(kind) as raised:
        call(*arguments, **named)
    return raised.value.status_code, str(getattr(raised.value.error_code, "value", raised.value.error_code))


def in_an_hour():
    return datetime.now(timezone.utc) + timedelta(hours=1)


def test_containers(service):
    name = f"box-{uuid.uuid4().hex[:8]}"
    box = service.create_container(name, metadata={"owner": "me"})
    assert box.exists() and box.get_container_properties().metadata == {"owner": "me"}
    assert error(service.create_container, name, kind=ResourceExistsError) == (409, "ContainerAlreadyExists")
    box.set_container_metadata({"owner": "you"})
    found = [item for item in service.list_containers(name_starts_with="box-", include_metadata=True) if item.name == name]
    assert found[0].metadata == {"owner": "you"} and found[0].etag
    assert box.get_container_access_policy()["public_access"] is None
    assert error(box.set_container_access_policy, {}, public_access="blob") == (409, "PublicAccessNotPermitted")
    pages = list(service.list_containers(results_per_page=1).by_page())
    assert all(len(list(page)) == 1 for page in pages)
    box.delete_container()
    assert not box.exists()
    assert error(box.delete_container, kind=ResourceNotFoundError) == (404, "ContainerNotFound")
    assert error(service.create_container, "No_Name") == (400, "InvalidResourceName")
    assert error(service.create_container, "ab") == (400, "OutOfRangeInput")


def test_a_blob_is_a_file_with_properties(server, container):
    blob = container.get_blob_client("2026/11/a b+ü.txt")
    settings = ContentSettings(content_type="text/plain", content_language="en", cache_control="no-cache",
                               content_disposition="inline")
    made = blob.upload_blob(b"hello", metadata={"a": "b", "c_1": "d e"}, content_settings=settings)
    assert made["etag"].startswith('"0x')
    assert (server.data / "objects" / container.container_name / "2026/11/a b+ü.txt").read_bytes() == b"hello"
    found = blob.get_blob_properties()
    assert found.size == 5 and found.metadata == {"a": "b", "c_1": "d e"} and found.etag == made["etag"]
    assert found.blob_type == "BlockBlob" and found.content_settings.content_type == "text/plain"
    assert found.content_settings.content_language == "en" and found.content_settings.cache_control == "no-cache"
    assert bytes(found.content_settings.content_md5) == hashlib.md5(b"hello").digest()
    assert abs((datetime.now(timezone.utc) - found.last_modified).total_seconds()) < 60
    assert blob.download_blob(validate_content=True).readall() == b"hello"
    blob.set_http_headers(ContentSettings(content_type="text/csv"))
    blob.set_blob_metadata({"x": "y"})
    found = blob.get_blob_properties()
    assert found.content_settings.content_type == "text/csv" and found.content_settings.cache_control is None
    assert found.metadata == {"x": "y"} and found.etag != made["etag"]
    blob.delete_blob(delete_snapshots="include")
    assert not blob.exists()
    assert error(blob.download_blob, kind=ResourceNotFoundError) == (404, "BlobNotFound")
    assert error(blob.delete_blob, kind=ResourceNotFoundError) == (404, "BlobNotFound")
    empty = container.upload_blob("empty", b"")
    assert empty.download_blob().readall() == b""


def test_large_blobs_go_up_in_blocks_and_come_down_in_ranges(server, container):
    client = connect(server, max_single_put_size=64 << 10, max_block_size=1 << 20, max_single_get_size=1 << 20,
                     max_chunk_get_size=1 << 20)
    blob = client.get_blob_client(container.container_name, "large")
    content = os.urandom((9 << 20) + 17)
    blob.upload_blob(content, max_concurrency=4, validate_content=True)
    assert blob.download_blob(max_concurrency=4, validate_content=True).readall() == content
    committed, waiting = blob.get_block_list("all")
    assert sum(block.size for block in committed) == len(content) and not waiting
    assert blob.download_blob(offset=5, length=10).readall() == content[5:15]
    assert blob.download_blob(offset=len(content) - 3).readall() == content[-3:]
    assert error(blob.download_blob, offset=len(content) + 1) == (416, "InvalidRange")
    with open(server.data / "objects" / container.container_name / "large", "rb") as file:
        assert file.read() == content


def test_blocks(container):
    blob = container.get_blob_client("blocks")
    for name in ("one", "two"):
        blob.stage_block(name, name.encode() * 3)
    assert not blob.exists() and not list(container.list_blobs())
    assert [block.id for block in blob.get_block_list("uncommitted")[1]] == ["one", "two"]
    assert error(blob.stage_block, "longer id", b"x") == (400, "InvalidBlobOrBlock")
    assert error(blob.commit_block_list, [BlobBlock("six")]) == (400, "InvalidBlockList")
    blob.commit_block_list([BlobBlock("two"), BlobBlock("one")], metadata={"a": "b"},
                           content_settings=ContentSettings(content_type="text/plain"))
    assert blob.download_blob().readall() == b"twotwotwooneoneone"
    found = blob.get_blob_properties()
    assert found.metadata == {"a": "b"} and found.content_settings.content_type == "text/plain"
    blob.stage_block("new", b"new")
    blob.commit_block_list([BlobBlock("one"), BlobBlock("new")])
    assert blob.download_blob().readall() == b"oneoneonenew"


def test_append_blobs(server, container):
    log = container.get_blob_client("log")
    log.create_append_blob(content_settings=ContentSettings(content_type="text/plain"))
    first = log.append_block(b"one\n")
    assert first["blob_append_offset"] == "0" and first["blob_committed_block_count"] == 1
    log.append_block(b"two\n", appendpos_condition=4)
    assert error(log.append_block, b"x", appendpos_condition=4) == (412, "AppendPositionConditionNotMet")
    assert error(log.append_block, b"x", maxsize_condition=8) == (412, "MaxBlobSizeConditionNotMet")
    found = log.get_blob_properties()
    assert found.blob_type == "AppendBlob" and found.append_blob_committed_block_count == 2 and found.size == 8
    assert (server.data / "objects" / container.container_name / "log").read_bytes() == b"one\ntwo\n"
    assert error(log.stage_block, "a", b"x") == (409, "InvalidBlobType")
    whole = container.upload_blob("whole", b"1")
    assert error(whole.append_block, b"x") == (409, "InvalidBlobType")
    container.upload_blob("grows", b"a", blob_type="AppendBlob")
    container.upload_blob("grows", b"b", blob_type="AppendBlob")
    assert container.download_blob("grows").readall() == b"ab"


def test_lists(container):
    names = ["a/1", "a/2", "a0", "b/c/1", "b/d", "c<&>\"'é"]
    for name in names:
        container.upload_blob(name, name.encode(), metadata={"n": "1"})
    assert [blob.name for blob in container.list_blobs()] == names
    assert list(container.list_blob_names(name_starts_with="a/")) == ["a/1", "a/2"]
    pages = [[blob.name for blob in page] for page in container.list_blobs(results_per_page=2).by_page()]
    assert pages == [names[0:2], names[2:4], names[4:6]]
    # The client gives a page's prefixes first.
    assert [item.name for item in container.walk_blobs(delimiter="/")] == ["a/", "b/", "a0", names[-1]]
    assert [item.name for item in container.walk_blobs("b/", delimiter="/")] == ["b/c/", "b/d"]
    with_metadata = list(container.list_blobs(include=["metadata", "copy"]))
    assert all(blob.metadata == {"n": "1"} and blob.size == len(blob.name.encode()) for blob in with_metadata)
    assert not list(container.list_blobs())[0].metadata
    pager = container.list_blobs(results_per_page=4).by_page()
    next(pager)
    rest = container.list_blobs(results_per_page=4).by_page(continuation_token=pager.continuation_token)
    assert [blob.name for blob in next(rest)] == names[4:]


def test_conditions(container):
    blob = container.get_blob_client("state")
    first = blob.upload_blob(b"1")
    assert error(blob.upload_blob, b"2", kind=ResourceExistsError) == (409, "BlobAlreadyExists")
    second = blob.upload_blob(b"2", overwrite=True, etag=first["etag"], match_condition=MatchConditions.IfNotModified)
    stale = {"etag": first["etag"], "match_condition": MatchConditions.IfNotModified}
    assert error(blob.upload_blob, b"3", overwrite=True, kind=ResourceModifiedError, **stale) == (412, "ConditionNotMet")
    assert error(blob.delete_blob, kind=ResourceModifiedError, **stale) == (412, "ConditionNotMet")
    assert error(blob.download_blob, kind=ResourceModifiedError, **stale) == (412, "ConditionNotMet")
    unchanged = {"etag": second["etag"], "match_condition": MatchConditions.IfModified}
    assert error(blob.get_blob_properties, **unchanged) == (304, "ConditionNotMet")
    assert error(blob.download_blob, if_modified_since=datetime.now(timezone.utc) + timedelta(minutes=1))[0] == 304
    assert blob.download_blob(if_unmodified_since=datetime.now(timezone.utc) + timedelta(minutes=1)).readall() == b"2"
    assert blob.download_blob().readall() == b"2"


def test_copies(server, container):
    source = container.upload_blob("source", b"content", metadata={"a": "b"})
    copy = container.get_blob_client("copy")
    assert copy.start_copy_from_url(source.url)["copy_status"] == "success"
    found = copy.get_blob_properties()
    assert found.metadata == {"a": "b"} and found.copy.status == "success" and found.copy.source == source.url
    assert copy.download_blob().readall() == b"content"
    missing = container.get_blob_client("none").url
    assert error(copy.start_copy_from_url, missing, kind=ResourceNotFoundError)[0] == 404
    elsewhere = f"http://127.0.0.1:1/{ACCOUNT}/c/b"
    assert error(copy.start_copy_from_url, elsewhere) == (400, "UnsupportedHeader")


def test_leases_and_conditions_of_containers(service, container):
    lease = container.acquire_lease(15)
    found = container.get_container_properties()
    assert (found.lease.status, found.lease.state, found.lease.duration) == ("locked", "leased", "fixed")
    listed = next(item for item in service.list_containers(name_starts_with=container.container_name))
    assert listed.lease.state == "leased"
    assert error(container.acquire_lease) == (409, "LeaseAlreadyPresent")
    assert error(container.delete_container) == (412, "LeaseIdMissing")
    other = str(uuid.uuid4())
    assert error(container.delete_container, lease=other) == (412, "LeaseIdMismatchWithContainerOperation")
    container.set_container_metadata({"a": "b"})
    assert error(container.set_container_metadata, {}, lease=other) == (412, "LeaseIdMismatchWithContainerOperation")
    container.upload_blob("free", b"1")
    lease.change(other)
    lease.renew()
    assert container.get_container_properties(lease=other).metadata == {"a": "b"}
    lease.release()
    assert container.get_container_properties().lease.state == "available"
    assert error(container.get_container_properties, lease=other) == (412, "LeaseNotPresentWithContainerOperation")
    later, before = datetime.now(timezone.utc) + timedelta(hours=1), datetime.now(timezone.utc) - timedelta(hours=1)
    assert error(container.set_container_metadata, {}, if_modified_since=later) == (412, "ConditionNotMet")
    assert error(container.acquire_lease, if_unmodified_since=before) == (412, "ConditionNotMet")
    assert error(container.delete_container, if_unmodified_since=before) == (412, "ConditionNotMet")
    held = container.acquire_lease()
    assert held.break_lease(0) == 0
    container.delete_container(if_modified_since=before)


def test_batches(server, service, container):
    for name in ["one", "two/a b", "ü", "held", "kept"]:
        container.upload_blob(name, b"1")
    held = container.get_blob_client("held").acquire_lease()
    container.delete_blobs("one", "two/a b", "ü")
    assert [blob.name for blob in container.list_blobs()] == ["held", "kept"]
    answers = list(container.delete_blobs("held", "none", {"name": "kept", "etag": '"0x1"'}, raise_on_any_failure=False))
    assert [answer.status_code for answer in answers] == [412, 404, 412]
    assert [answer.headers["x-ms-error-code"] for answer in answers] == ["LeaseIdMissing", "BlobNotFound", "ConditionNotMet"]
    with pytest.raises(PartialBatchErrorException):
        container.delete_blobs("kept", "none")
    assert [blob.name for blob in container.list_blobs()] == ["held"]
    tiers = list(container.set_standard_blob_tier_blobs("Cool", "held", raise_on_any_failure=False))
    assert [(answer.status_code, answer.headers["x-ms-error-code"]) for answer in tiers] == [(400, "UnsupportedHeader")] or \
           [(answer.status_code, answer.headers["x-ms-error-code"]) for answer in tiers] == [(400, "UnsupportedQueryParameter")]
    container.delete_blobs({"name": "held", "lease_id": held.id})
    container.upload_blob("signed", b"1")
    rights = ContainerSasPermissions(delete=True)
    token = generate_container_sas(ACCOUNT, container.container_name, KEY, permission=rights, expiry=in_an_hour())
    ContainerClient.from_container_url(f"{container.url}?{token}", retry_total=0).delete_blobs("signed")
    assert list(container.list_blobs()) == []
    reader = generate_container_sas(ACCOUNT, container.container_name, KEY, permission=ContainerSasPermissions(read=True), expiry=in_an_hour())
    container.upload_blob("signed", b"1")
    answers = list(ContainerClient.from_container_url(f"{container.url}?{reader}", retry_total=0)
                   .delete_blobs("signed", raise_on_any_failure=False))
    assert [answer.status_code for answer in answers] == [403]


def test_blobs_are_put_from_the_addresses_of_others(container):
    source = container.upload_blob("source", b"content", metadata={"a": "b"}, content_settings=ContentSettings(content_type="text/plain"))
    made = container.get_blob_client("made")
    made.upload_blob_from_url(source.url)
    found = made.get_blob_properties()
    assert found.metadata == {"a": "b"} and found.content_settings.content_type == "text/plain" and found.copy.status is None
    assert made.download_blob().readall() == b"content"
    assert error(made.upload_blob_from_url, source.url, kind=ResourceExistsError) == (409, "BlobAlreadyExists")
    made.upload_blob_from_url(source.url, overwrite=True, include_source_blob_properties=False, metadata={"c": "d"})
    found = made.get_blob_properties()
    assert found.metadata == {"c": "d"} and found.content_settings.content_type == "application/octet-stream"
    wrong = bytearray(hashlib.md5(b"other").digest())
    assert error(made.upload_blob_from_url, source.url, overwrite=True, source_content_md5=wrong) == (400, "Md5Mismatch")
    right = bytearray(hashlib.md5(b"content").digest())
    made.upload_blob_from_url(source.url, overwrite=True, source_content_md5=right)
    assert error(made.upload_blob_from_url, source.url, overwrite=True, source_content_md5=right,
                 headers={"x-ms-blob-content-md5": base64.b64encode(wrong).decode()}) == (400, "Md5Mismatch")
    assert error(made.upload_blob_from_url, container.get_blob_client("none").url, overwrite=True)[0] == 404
    # What the maker of the source said its MD5 is binds nobody.
    said = container.get_blob_client("said")
    said.stage_block("MQ==", b"content")
    said.commit_block_list([BlobBlock("MQ==")], content_settings=ContentSettings(content_md5=wrong))
    made.upload_blob_from_url(said.url, overwrite=True)
    assert made.get_blob_properties().content_settings.content_md5 == right
    assert error(made.upload_blob_from_url, f"http://127.0.0.1:1/{ACCOUNT}/c/b", overwrite=True) == (400, "UnsupportedHeader")


def test_service_properties_are_set_as_they_are(service):
    found = service.get_service_properties()
    service.set_service_properties(analytics_logging=found["analytics_logging"], hour_metrics=found["hour_metrics"], cors=[])
    rule = CorsRule(["http://page"], ["GET"])
    assert error(service.set_service_properties, cors=[rule]) == (400, "UnsupportedXmlNode")
    kept = RetentionPolicy(enabled=True, days=5)
    assert error(service.set_service_properties, delete_retention_policy=kept) == (400, "UnsupportedXmlNode")
    assert error(service.set_service_properties, target_version="2020-10-02") == (400, "UnsupportedXmlNode")


def test_leases(container):
    blob = container.get_blob_client("leased")
    first = blob.upload_blob(b"1")
    lease = blob.acquire_lease(15)
    found = blob.get_blob_properties()
    assert found.etag == first["etag"]
    assert (found.lease.status, found.lease.state, found.lease.duration) == ("locked", "leased", "fixed")
    assert error(blob.acquire_lease) == (409, "LeaseAlreadyPresent")
    for change in [lambda **named: blob.upload_blob(b"2", overwrite=True, **named), blob.delete_blob,
                   lambda **named: blob.set_blob_metadata({"a": "b"}, **named),
                   lambda **named: blob.stage_block("a", b"1", **named)]:
        assert error(change) == (412, "LeaseIdMissing")
        assert error(change, lease=str(uuid.uuid4())) == (412, "LeaseIdMismatchWithBlobOperation")
    blob.upload_blob(b"2", overwrite=True, lease=lease)
    lease.renew()
    known, new = lease.id, str(uuid.uuid4())
    lease.change(new)
    assert lease.id == new != known
    assert next(container.list_blobs()).lease.state == "leased"
    assert error(blob.download_blob, lease=known) == (412, "LeaseIdMismatchWithBlobOperation")
    assert blob.download_blob(lease=lease).readall() == b"2"
    assert 1 <= lease.break_lease() <= 15
    assert blob.get_blob_properties().lease.state == "breaking"
    assert error(lease.renew) == (409, "LeaseIsBrokenAndCannotBeRenewed")
    assert lease.break_lease(0) == 0
    blob.upload_blob(b"3", overwrite=True)
    forever = blob.acquire_lease()
    assert blob.get_blob_properties().lease.duration == "infinite"
    forever.release()
    assert blob.get_blob_properties().lease.state == "available"
    again = BlobLeaseClient(blob, lease_id=str(uuid.uuid4()))
    assert error(again.renew) == (409, "LeaseIdMismatchWithLeaseOperation")
    assert error(blob.acquire_lease, 10) == (400, "InvalidHeaderValue")


def test_tags(container):
    blob = container.get_blob_client("tagged")
    made = blob.upload_blob(b"1", tags={"project": "a b", "n": "1"})
    assert blob.get_blob_tags() == {"project": "a b", "n": "1"}
    assert blob.get_blob_properties().tag_count == 2
    blob.set_blob_tags({"only": "this"})
    assert blob.get_blob_tags() == {"only": "this"} and blob.get_blob_properties().etag == made["etag"]
    assert next(container.list_blobs(include=["tags"])).tags == {"only": "this"}
    assert error(blob.set_blob_tags, {str(n): "x" for n in range(11)}) == (400, "InvalidTag")
    assert error(blob.set_blob_tags, {"a": "#"}) == (400, "InvalidTag")
    lease = blob.acquire_lease()
    assert error(blob.set_blob_tags, {"a": "b"}) == (412, "LeaseIdMissing")
    blob.set_blob_tags({}, lease=lease)
    assert blob.get_blob_tags() == {}


def sas_of(container, name, **options):
    options = {"permission": BlobSasPermissions(read=True), "expiry": in_an_hour(), **options}
    return generate_blob_sas(ACCOUNT, container.container_name, name, account_key=KEY, **options)


def test_signatures_of_blobs_and_containers(server, container):
    container.upload_blob("a/b c", b"content")
    endpoint = f"{server.endpoint}/{ACCOUNT}"

    def blob(token, name="a/b c"):
        return BlobClient(endpoint, container.container_name, name, credential=token, retry_total=0)

    token = sas_of(container, "a/b c", content_type="text/x-told", cache_control="max-age=5")
    assert blob(token).download_blob().readall() == b"content"
    assert blob(token).get_blob_properties().content_settings.content_type == "text/x-told"
    answer = requests.get(f"{blob(token).url}", timeout=10)
    assert answer.content == b"content" and answer.headers["Cache-Control"] == "max-age=5"
    denied = (403, "AuthorizationPermissionMismatch")
    assert error(blob(token).upload_blob, b"x", overwrite=True) == denied
    assert error(blob(token).delete_blob) == denied
    refused = {"kind": ClientAuthenticationError}
    assert error(blob(token, "other").download_blob, **refused) == (403, "AuthenticationFailed")
    assert error(blob(token.replace("sig=", "sig=AA")).download_blob, **refused) == (403, "AuthenticationFailed")
    expired = sas_of(container, "a/b c", expiry=datetime.now(timezone.utc) - timedelta(minutes=1))
    with pytest.raises(ClientAuthenticationError) as raised:
        blob(expired).download_blob()
    assert "Signature not valid in the specified time frame" in str(raised.value)
    later = sas_of(container, "a/b c", start=in_an_hour() - timedelta(minutes=1))
    assert error(blob(later).download_blob, **refused) == (403, "AuthenticationFailed")
    secure = sas_of(container, "a/b c", protocol="https")
    assert error(blob(secure).download_blob)[1] == "AuthorizationProtocolMismatch"
    far = sas_of(container, "a/b c", ip="10.1.2.3")
    assert error(blob(far).download_blob)[1] == "AuthorizationSourceIPMismatch"

    create = sas_of(container, "new", permission=BlobSasPermissions(create=True))
    blob(create, "new").upload_blob(b"1")
    assert error(blob(create, "new").upload_blob, b"2", overwrite=True) == denied

    lister = generate_container_sas(ACCOUNT, container.container_name, account_key=KEY, expiry=in_an_hour(),
                                    permission=ContainerSasPermissions(list=True, read=True))
    client = ContainerClient(endpoint, container.container_name, credential=lister, retry_total=0)
    assert [found.name for found in client.list_blobs()] == ["a/b c", "new"]
    assert client.download_blob("new").readall() == b"1"
    assert error(client.upload_blob, "x", b"1") == denied
    assert error(client.delete_container) == denied


def test_signatures_of_accounts(server, container):
    container.upload_blob("b", b"content")
    endpoint = f"{server.endpoint}/{ACCOUNT}"

    def client(**options):
        options = {"resource_types": ResourceTypes(service=True, container=True, object=True), "expiry": in_an_hour(),
                   "permission": AccountSasPermissions(read=True, list=True), **options}
        return BlobServiceClient(endpoint, credential=generate_account_sas(ACCOUNT, KEY, **options), retry_total=0)

    assert container.container_name in [found.name for found in client().list_containers()]
    assert client().get_blob_client(container.container_name, "b").download_blob().readall() == b"content"
    objects = client(resource_types=ResourceTypes(object=True))
    assert error(lambda: list(objects.list_containers()))[1] == "AuthorizationResourceTypeMismatch"
    assert error(client().create_container, "other-box")[1] == "AuthorizationPermissionMismatch"
    writer = client(permission=AccountSasPermissions(write=True, delete=True))
    writer.get_blob_client(container.container_name, "w").upload_blob(b"1", overwrite=True)
    writer.get_container_client(container.container_name).delete_blob("w")


def test_keys_are_checked(server, container):
    url = f"{server.endpoint}/{ACCOUNT}"
    other = base64.b64encode(b"another key").decode()
    wrong = BlobServiceClient(url, credential={"account_name": ACCOUNT, "account_key": other}, retry_total=0)
    refused = (403, "AuthenticationFailed")
    assert error(lambda: list(wrong.list_containers()), kind=ClientAuthenticationError) == refused
    stranger = BlobServiceClient(f"{server.endpoint}/stranger", retry_total=0,
                                 credential={"account_name": "stranger", "account_key": KEY})
    assert error(lambda: list(stranger.list_containers()), kind=ClientAuthenticationError) == refused
    nobody = BlobServiceClient(url, retry_total=0)
    assert error(lambda: list(nobody.list_containers()))[1] == "NoAuthenticationInformation"
    answer = requests.get(f"{url}/{container.container_name}/b", timeout=10, headers={
        "x-ms-version": "2021-12-02", "x-ms-date": "Fri, 26 Jun 2015 23:39:12 GMT",
        "Authorization": f"SharedKey {ACCOUNT}:AAAA"})
    assert answer.status_code == 403 and "Request date header too old" in answer.text
    assert answer.headers["x-ms-error-code"] == "AuthenticationFailed" and answer.headers["x-ms-request-id"] in answer.text


def test_snapshots(server, container):
    blob = container.upload_blob("a/b", b"one", metadata={"m": "1"}, content_settings=ContentSettings(content_type="text/plain"))
    first = blob.create_snapshot()["snapshot"]
    second = blob.create_snapshot(metadata={"m": "2"})["snapshot"]
    assert len(first) == len("2026-11-21T08:15:00.1234560Z") and first < second
    base = blob.upload_blob(b"two", overwrite=True)
    old = container.get_blob_client("a/b", snapshot=first)
    assert old.download_blob().readall() == b"one" and blob.download_blob().readall() == b"two"
    found = old.get_blob_properties()
    assert found.metadata == {"m": "1"} and found.content_settings.content_type == "text/plain" and found.size == 3
    assert found.lease.state is None and found.etag != base["etag"]
    assert old.download_blob(offset=1, length=1).readall() == b"n"

    container.upload_blob("a/c", b"x")
    expected = [("a/b", first), ("a/b", second), ("a/b", None), ("a/c", None)]
    listed = lambda size: [(one.name, one.snapshot) for page in container.list_blobs(
        include=["snapshots", "metadata"], results_per_page=size).by_page() for one in page]
    assert listed(None) == listed(1) == listed(2) == listed(3) == expected
    assert [one.metadata for one in container.list_blobs(include=["snapshots", "metadata"])][1] == {"m": "2"}
    assert [one.name for one in container.list_blobs()] == ["a/b", "a/c"]

    assert error(blob.delete_blob, kind=ResourceExistsError) == (409, "SnapshotsPresent")
    assert error(blob.create_snapshot, etag='"0x1"', match_condition=MatchConditions.IfNotModified) == (412, "ConditionNotMet")
    assert error(container.get_blob_client("none").create_snapshot, kind=ResourceNotFoundError) == (404, "BlobNotFound")
    missing = container.get_blob_client("a/b", snapshot="2020-01-01T00:00:00.0000000Z")
    assert error(missing.download_blob, kind=ResourceNotFoundError) == (404, "BlobNotFound")
    odd = container.get_blob_client("a/b", snapshot="yesterday")
    assert error(odd.download_blob) == (400, "InvalidQueryParameterValue")
    assert error(old.set_blob_metadata, {}) == (400, "UnsupportedQueryParameter")

    # A snapshot becomes the blob again, or another.
    blob.start_copy_from_url(old.url)
    assert blob.download_blob().readall() == b"one" and f"snapshot={first}" in blob.get_blob_properties().copy.source
    other = container.get_blob_client("other")
    other.upload_blob_from_url(old.url + "&" + generate_account_sas(
        ACCOUNT, KEY, ResourceTypes(object=True), AccountSasPermissions(read=True), in_an_hour()))
    assert other.download_blob().readall() == b"one"

    # A signature is for the blob or for one snapshot.
    read = BlobSasPermissions(read=True)
    sign = lambda **which: generate_blob_sas(ACCOUNT, container.container_name, "a/b", account_key=KEY, permission=read,
                                             expiry=in_an_hour(), **which)
    at = lambda token, snapshot: BlobClient(f"{server.endpoint}/{ACCOUNT}", container.container_name, "a/b", snapshot=snapshot,
                                            credential=token, retry_total=0)
    assert at(sign(snapshot=first), first).download_blob().readall() == b"one"
    assert error(at(sign(), first).download_blob) == (403, "AuthorizationResourceTypeMismatch")
    assert error(at(sign(snapshot=first), second).download_blob, kind=ClientAuthenticationError) == (403, "AuthenticationFailed")
    assert error(at(sign(snapshot=first), None).download_blob)[0] == 403

    old.delete_blob()
    assert error(old.download_blob, kind=ResourceNotFoundError) == (404, "BlobNotFound")
    blob.delete_blob(delete_snapshots="only")
    assert listed(None) == [("a/b", None), ("a/c", None), ("other", None)]
    blob.create_snapshot()
    blob.delete_blob(delete_snapshots="include")
    assert listed(None) == [("a/c", None), ("other", None)] and not blob.exists()
    blocks = container.get_blob_client("blocks")
    blocks.stage_block("1", b"one")
    blocks.commit_block_list([BlobBlock("1")])
    kept = container.get_blob_client("blocks", snapshot=blocks.create_snapshot()["snapshot"])
    blocks.upload_blob(b"two", overwrite=True)
    assert [block.size for block in kept.get_block_list("all")[0]] == [3]


def test_what_is_not_served_is_named(service, container):
    blob = container.upload_blob("b", b"1")
    unsupported = (400, "UnsupportedQueryParameter")
    assert error(blob.set_standard_blob_tier, "Cool") == unsupported
    assert error(blob.undelete_blob) == unsupported
    assert error(container.get_blob_client("p").create_page_blob, 512) == (400, "UnsupportedHeader")
    assert error(container.upload_blob, "b/c", b"1", kind=ResourceExistsError) == (409, "ResourceTypeMismatch")
    assert service.get_service_properties()["cors"] == []
    assert service.get_account_information()["account_kind"] == "StorageV2"


def test_no_name_leads_out_of_the_container(server, container):
    token = generate_container_sas(ACCOUNT, container.container_name, account_key=KEY, expiry=in_an_hour(),
                                   permission=ContainerSasPermissions(read=True, write=True))
    for name in ("..%2F..%2Fout", "a%2F..%2F..%2Fout", "%2Fout", "a%2F%2Fb", "a%00b", ".."):
        # No client sends such names, so this is by hand.
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.putrequest("PUT", f"/{ACCOUNT}/{container.container_name}/{name}?{token}")
        for header, value in (("x-ms-blob-type", "BlockBlob"), ("x-ms-version", "2021-12-02"), ("Content-Length", "1")):
            connection.putheader(header, value)
        connection.endheaders(b"x")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["x-ms-error-code"]) == (400, "InvalidResourceName"), name
        connection.close()
    assert not list(container.list_blobs())


def test_what_firehose_delivers_is_a_blob(server, service, firehose):
    name = f"d-{uuid.uuid4().hex[:8]}"
    firehose.create_delivery_stream(DeliveryStreamName=name, S3DestinationConfiguration={
        "BucketARN": f"arn:aws:s3:::{name}", "RoleARN": ROLE, "Prefix": "raw/",
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1}})
    firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": b"%03d\n" % n} for n in range(100)])
    expected = b"".join(b"%03d\n" % n for n in range(100))
    container = service.get_container_client(name)
    deadline = time.monotonic() + 30
    content = b""
    while content != expected and time.monotonic() < deadline:
        names = list(container.list_blob_names()) if container.exists() else []
        content = b"".join(container.download_blob(found).readall() for found in names)
        time.sleep(0.1)
    assert content == expected and all(found.startswith("raw/") for found in names)
    firehose.delete_delivery_stream(DeliveryStreamName=name)
    container.delete_container()


def test_everything_survives_a_restart():
    node = Node()
    try:
        node.start()
        service = connect(node)
        container = service.create_container("kept", metadata={"a": "b"})
        container.upload_blob("whole", b"content", metadata={"m": "1"},
                              content_settings=ContentSettings(content_type="text/plain"))
        container.get_blob_client("blocks").stage_block("one", b"waits")
        log = container.get_blob_client("log")
        log.create_append_blob()
        log.append_block(b"one\n")
        whole = container.get_blob_client("whole")
        snapshot = whole.create_snapshot()["snapshot"]
        whole.upload_blob(b"newer", overwrite=True, metadata={"m": "1"}, content_settings=ContentSettings(content_type="text/plain"))
        etags = {blob.name: blob.etag for blob in container.list_blobs()}
        node.kill()
        (node.data / "objects" / "kept" / "by-hand").write_bytes(b"mine")
        node.start()
        assert container.get_container_properties().metadata == {"a": "b"}
        found = container.get_blob_client("whole").get_blob_properties()
        assert found.metadata == {"m": "1"} and found.content_settings.content_type == "text/plain"
        assert {blob.name: blob.etag for blob in container.list_blobs() if blob.name != "by-hand"} == etags
        assert container.download_blob("by-hand").readall() == b"mine"
        assert container.get_blob_client("whole", snapshot=snapshot).download_blob().readall() == b"content"
        blocks = container.get_blob_client("blocks")
        blocks.commit_block_list([BlobBlock("one")])
        assert blocks.download_blob().readall() == b"waits"
        log.append_block(b"two\n")
        assert log.download_blob().readall() == b"one\ntwo\n"
    finally:
        node.remove()
