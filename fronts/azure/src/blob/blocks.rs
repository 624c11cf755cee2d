//! `Put Block`, `Put Block List`, `Get Block List`

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{Response, StatusCode};
use md5::{Digest as _, Md5};
use millstream_object::{BlockInfo, BlockSource, CommitBlocks, NewBlock, WhichBlocks};

use super::headers::{self, CONTENT_TYPE, empty};
use super::{Blob, Call, put_blob, snapshot, tags};
use crate::storage::error::ServiceError;
use crate::storage::xml;

/// Bytes of a block's id before base64, as the service has it.
const BLOCK_ID_BYTES_MAX: usize = 64;

/// Blocks of one list, as the service has it.
const LIST_MAX: usize = 50_000;

pub(super) async fn put_block(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let request = &call.request;
    if request.headers.contains_key("x-ms-copy-source") {
        return Err(ServiceError::unsupported_header("x-ms-copy-source", "Put Block From URL"));
    }
    if request.body.is_empty() {
        return Err(ServiceError::invalid_header("content-length", "0"));
    }
    let id = call.target.parameter("blockid").unwrap_or_default().to_owned();
    if !BASE64.decode(&id).is_ok_and(|bytes| (1..=BLOCK_ID_BYTES_MAX).contains(&bytes.len())) {
        return Err(ServiceError::invalid_parameter("blockid", &id));
    }
    let md5 = headers::md5(request, "content-md5")?;
    let block = NewBlock {
        bucket: call.target.container().to_owned(),
        key: call.target.blob().to_owned(),
        id,
        data: request.body.clone(),
        md5,
        lease_id: request.header("x-ms-lease-id").map(str::to_owned),
    };
    blob.objects.stage_block(block).await?;
    let mut response = empty(StatusCode::CREATED);
    headers::set(response.headers_mut(), "x-ms-request-server-encrypted", "false");
    if let Some(md5) = md5 {
        headers::set(response.headers_mut(), "content-md5", headers::md5_text(md5));
    }
    Ok(response)
}

pub(super) async fn put_block_list(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let request = &call.request;
    if let Some(promised) = headers::md5(request, "content-md5")? {
        let found: [u8; 16] = Md5::digest(&request.body).into();
        if found != promised {
            return Err(ServiceError::md5_mismatch());
        }
    }
    let listed =
        xml::read_list(&request.body, "BlockList", LIST_MAX)?.into_iter().map(|(name, id)| match name.as_str() {
            "Committed" => Ok((BlockSource::Committed, id)),
            "Uncommitted" => Ok((BlockSource::Staged, id)),
            "Latest" => Ok((BlockSource::Latest, id)),
            other => Err(ServiceError::invalid_document(format!("unexpected element {other}"))),
        });
    let blocks = listed.collect::<Result<Vec<_>, ServiceError>>()?;
    let mut properties = headers::properties(request)?;
    properties.content_type.get_or_insert_with(|| CONTENT_TYPE.to_owned());
    properties.metadata = headers::metadata(request)?;
    properties.tags = tags::of_header(request)?;
    let commit = CommitBlocks {
        bucket: call.target.container().to_owned(),
        key: call.target.blob().to_owned(),
        blocks,
        properties,
        conditions: headers::conditions(request)?,
    };
    Ok(put_blob::created(&blob.objects.commit_blocks(commit).await?))
}

pub(super) async fn get_block_list(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let which = match call.target.parameter("blocklisttype") {
        None | Some("committed") => WhichBlocks::Committed,
        Some("uncommitted") => WhichBlocks::Staged,
        Some("all") => WhichBlocks::All,
        Some(other) => return Err(ServiceError::invalid_parameter("blocklisttype", other)),
    };
    let found = blob.objects.blocks(snapshot::version(&call.target)?, which).await?;
    let write = |root: &mut xml::Element, name: &str, blocks: &[BlockInfo]| {
        root.child(name, |list| {
            for block in blocks {
                list.child("Block", |element| {
                    element.text("Name", &block.id);
                    element.text("Size", &block.length.to_string());
                });
            }
        });
    };
    let mut response = xml::answer(xml::document("BlockList", &[], |root| {
        if which != WhichBlocks::Staged {
            write(root, "CommittedBlocks", &found.committed);
        }
        if which != WhichBlocks::Committed {
            write(root, "UncommittedBlocks", &found.staged);
        }
    }));
    if let Some(object) = &found.object {
        headers::set_state(response.headers_mut(), &object.etag, object.modified);
    }
    let length = found.object.map_or(0, |object| object.length);
    headers::set(response.headers_mut(), "x-ms-blob-content-length", length.to_string());
    Ok(response)
}
