//! Buckets of an S3-class store through the `object_store` crate, over the HTTP client that the rest of the node uses
//! (hyper and rustls) instead of a second one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector as TcpConnector};
use hyper_util::rt::TokioExecutor;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientOptions, ObjectStoreExt as _, PutPayload, path::Path};

/// How long one request may take before it is tried again: objects are at most 128 MiB.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) struct S3Sink {
    endpoint: String,
    region: String,
    access_key: String,
    secret: String,
    buckets: Mutex<HashMap<String, Arc<AmazonS3>>>,
}

impl S3Sink {
    pub(crate) fn new(endpoint: String, region: String, access_key: String, secret: String) -> Self {
        Self { endpoint, region, access_key, secret, buckets: Mutex::default() }
    }

    pub(crate) async fn write(&self, bucket: &str, object: &str, parts: Vec<Bytes>) -> object_store::Result<()> {
        let store = self.bucket(bucket)?;
        store.put(&Path::parse(object)?, PutPayload::from_iter(parts)).await?;
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
