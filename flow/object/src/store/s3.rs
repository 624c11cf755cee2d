//! Buckets of an S3-class store through the `object_store` crate, over the HTTP client that the rest of the node uses
//! (hyper and rustls) instead of a second one. The store keeps properties itself; nothing of it is in our entries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector as TcpConnector};
use hyper_util::rt::TokioExecutor;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{
    Attribute, Attributes, ClientOptions, Error, GetOptions, GetResult, ObjectMeta, ObjectStore as _,
    ObjectStoreExt as _, PutOptions, PutPayload, path::Path,
};

use super::walk::{Step, Walk};
use crate::error::ObjectError;
use crate::object::{Object, Properties};

/// How long one request may take before it is tried again: objects of deliveries are at most 128 MiB.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) struct S3Store {
    endpoint: String,
    region: String,
    access_key: String,
    secret: String,
    buckets: Mutex<HashMap<String, Arc<AmazonS3>>>,
}

impl S3Store {
    pub(crate) fn new(endpoint: String, region: String, access_key: String, secret: String) -> Self {
        Self { endpoint, region, access_key, secret, buckets: Mutex::default() }
    }

    /// Writes an object whole, with its properties.
    pub(crate) async fn write(
        &self,
        bucket: &str,
        key: &str,
        parts: Vec<Bytes>,
        properties: &Properties,
    ) -> Result<(), ObjectError> {
        let failed = |error| failed("write", bucket, key, error);
        let store = self.bucket(bucket).map_err(failed)?;
        let options = PutOptions { attributes: attributes(properties), ..PutOptions::default() };
        store.put_opts(&path(key)?, PutPayload::from_iter(parts), options).await.map_err(failed)?;
        Ok(())
    }

    /// What the store knows of an object.
    pub(crate) async fn head(&self, bucket: &str, key: &str) -> Result<Object, ObjectError> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let found = self.get(bucket, key, options).await?;
        Ok(object(&found.meta, &found.attributes))
    }

    /// Reads bytes of an object whose ETag must still be this one.
    pub(crate) async fn read(
        &self,
        bucket: &str,
        object: &Object,
        start: u64,
        length: u64,
    ) -> Result<Bytes, ObjectError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let options = GetOptions {
            range: Some((start..start + length).into()),
            if_match: Some(format!("\"{}\"", object.etag)),
            ..GetOptions::default()
        };
        let found = self.get(bucket, &object.key, options).await?;
        found.bytes().await.map_err(|error| failed("read", bucket, &object.key, error))
    }

    async fn get(&self, bucket: &str, key: &str, options: GetOptions) -> Result<GetResult, ObjectError> {
        let failed = |error| failed("read", bucket, key, error);
        self.bucket(bucket).map_err(failed)?.get_opts(&path(key)?, options).await.map_err(failed)
    }

    pub(crate) async fn remove(&self, bucket: &str, key: &str) -> Result<(), ObjectError> {
        let failed = |error| failed("remove", bucket, key, error);
        self.bucket(bucket).map_err(failed)?.delete(&path(key)?).await.map_err(failed)
    }

    /// Shows the objects that the walk meets, in order, until `visit` says stop. The store cannot skip: what is left out
    /// is still listed by it.
    pub(crate) async fn walk(
        &self,
        bucket: &str,
        walk: &mut Walk,
        visit: &mut (dyn FnMut(Object) -> Result<Step, ObjectError> + Send),
    ) -> Result<(), ObjectError> {
        let failed = |error| failed("list", bucket, &walk.prefix, error);
        let folder = walk.prefix.rsplit_once('/').map(|(folder, _)| path(folder)).transpose()?;
        let store = self.bucket(bucket).map_err(failed)?;
        let mut found = store.list_with_offset(folder.as_ref(), &Path::from(walk.after.as_str()));
        while let Some(meta) =
            found.try_next().await.map_err(|error| self::failed("list", bucket, &walk.prefix, error))?
        {
            if !walk.meets(meta.location.as_ref()) {
                continue;
            }
            match visit(object(&meta, &Attributes::new()))? {
                Step::Next => {}
                Step::Skip(prefix) => walk.skip = Some(prefix),
                Step::Stop => return Ok(()),
            }
        }
        Ok(())
    }

    fn bucket(&self, name: &str) -> object_store::Result<Arc<AmazonS3>> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = buckets.get(name) {
            return Ok(Arc::clone(store));
        }
        let store = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_endpoint(&self.endpoint)
            .with_region(&self.region)
            .with_access_key_id(&self.access_key)
            .with_secret_access_key(&self.secret)
            .with_allow_http(self.endpoint.starts_with("http://"))
            .with_http_connector(HyperConnector)
            .build()?;
        let store = Arc::new(store);
        buckets.insert(name.to_owned(), Arc::clone(&store));
        Ok(store)
    }
}

fn path(key: &str) -> Result<Path, ObjectError> {
    Path::parse(key).map_err(|_| ObjectError::BadKey { key: key.to_owned(), reason: "an S3-class store refuses it" })
}

fn attributes(properties: &Properties) -> Attributes {
    let texts = [
        (Attribute::ContentType, &properties.content_type),
        (Attribute::ContentEncoding, &properties.content_encoding),
        (Attribute::ContentLanguage, &properties.content_language),
        (Attribute::ContentDisposition, &properties.content_disposition),
        (Attribute::CacheControl, &properties.cache_control),
    ];
    let mut attributes = Attributes::new();
    for (attribute, text) in texts {
        if let Some(text) = text {
            attributes.insert(attribute, text.clone().into());
        }
    }
    for (name, value) in &properties.metadata {
        attributes.insert(Attribute::Metadata(name.clone().into()), value.clone().into());
    }
    attributes
}

fn object(meta: &ObjectMeta, attributes: &Attributes) -> Object {
    let text = |attribute| attributes.get(&attribute).map(|value| value.to_string());
    let mut properties = Properties {
        content_type: text(Attribute::ContentType),
        content_encoding: text(Attribute::ContentEncoding),
        content_language: text(Attribute::ContentLanguage),
        content_disposition: text(Attribute::ContentDisposition),
        cache_control: text(Attribute::CacheControl),
        ..Properties::default()
    };
    for (attribute, value) in attributes {
        if let Attribute::Metadata(name) = attribute {
            properties.metadata.insert(name.to_string(), value.to_string());
        }
    }
    let modified = meta.last_modified.timestamp_millis();
    Object {
        key: meta.location.to_string(),
        length: meta.size,
        etag: meta.e_tag.as_deref().unwrap_or_default().trim_matches('"').to_owned(),
        created: modified,
        modified,
        properties,
        ..Object::default()
    }
}

fn failed(action: &'static str, bucket: &str, key: &str, error: Error) -> ObjectError {
    match error {
        Error::NotFound { .. } => ObjectError::NotFound { bucket: bucket.to_owned(), key: key.to_owned() },
        other => {
            ObjectError::Store { action, bucket: bucket.to_owned(), key: key.to_owned(), reason: other.to_string() }
        }
    }
}

#[derive(Debug)]
struct HyperConnector;

impl HttpConnector for HyperConnector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(HttpClient::new(HyperService(Client::builder(TokioExecutor::new()).build(connector))))
    }
}

#[derive(Debug)]
struct HyperService(Client<HttpsConnector<TcpConnector>, HttpRequestBody>);

impl HttpService for HyperService {
    fn call<'life, 'async_trait>(
        &'life self,
        request: HttpRequest,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'async_trait>>
    where
        'life: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let answer = tokio::time::timeout(REQUEST_TIMEOUT, self.0.request(request))
                .await
                .map_err(|elapsed| HttpError::new(HttpErrorKind::Timeout, elapsed))?
                .map_err(|error| {
                    let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
                    HttpError::new(kind, error)
                })?;
            let read = |error| HttpError::new(HttpErrorKind::Interrupted, error);
            Ok(answer.map(|body| HttpResponseBody::new(body.map_err(read))))
        })
    }
}
