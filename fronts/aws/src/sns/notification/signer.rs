//! The node's key for notifications, and its certificate, which subscribers check signatures by.
//!
//! The key is RSA of 2,048 bits, made when it is first needed and kept in the node's store. Its certificate is signed by
//! itself: subscribers that ask for the cloud's own certificates do not take it. Source: "Verifying the signatures of
//! Amazon SNS messages": version 1 is SHA-1, version 2 SHA-256, both PKCS#1 v1.5, over the same text.

use std::sync::Arc;

use base64_simd::STANDARD;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_types::Clock;
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use rsa::rand_core::UnwrapErr;
use serde_json::{Map, Value};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use super::certificate;

const KEY_BITS: usize = 2_048;

/// Paths of certificates.
const PATH: (&str, &str) = ("/SimpleNotificationService-", ".pem");

/// Members of documents that are signed, where they are there, in this order.
const SIGNED: [&str; 8] = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

/// Signs notifications. Cheap to clone.
#[derive(Clone)]
pub struct Signer {
    shared: Arc<Shared>,
}

struct Shared {
    storage: Storage,
    clock: Arc<dyn Clock>,
    /// Made or read when it is first wanted.
    pair: OnceCell<Arc<Pair>>,
}

struct Pair {
    key: RsaPrivateKey,
    certificate: String,
    path: String,
}

/// A signature.
pub(super) struct Signed {
    /// In base64.
    pub(super) signature: String,
    /// Where the certificate is found on this node.
    pub(super) certificate_path: String,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The store did not give or take the key.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The key cannot be made, read or used.
    #[error("the key for notifications cannot be used: {0}")]
    Key(String),
}

/// The text that is signed: names and values, a line each.
pub(super) fn text_to_sign(document: &Map<String, Value>) -> String {
    let signed = SIGNED.iter().filter_map(|name| Some((name, document.get(*name)?.as_str()?)));
    signed.map(|(name, value)| format!("{name}\n{value}\n")).collect()
}

/// Whether a path is that of a certificate, of this node or another.
pub(in crate::sns) fn is_certificate(path: &str) -> bool {
    path.starts_with(PATH.0) && path.ends_with(PATH.1)
}

impl Signer {
    /// The signer with the key of a store.
    #[must_use]
    pub fn new(storage: Storage, clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Shared { storage, clock, pair: OnceCell::new() }) }
    }

    /// Makes the key unless there is one: the first message need not wait for it.
    ///
    /// # Errors
    /// [`SignerError`].
    pub(in crate::sns) async fn prepare(&self) -> Result<(), SignerError> {
        self.pair().await.map(drop)
    }

    /// The certificate at a path, as PEM; `None` when it is not this node's.
    pub(in crate::sns) async fn certificate(&self, path: &str) -> Result<Option<String>, SignerError> {
        let pair = self.pair().await?;
        Ok((pair.path == path).then(|| pair.certificate.clone()))
    }

    /// Signs a text as a version of signatures has it.
    pub(super) async fn sign(&self, version: &str, text: String) -> Result<Signed, SignerError> {
        let (pair, second) = (self.pair().await?, version == "2");
        // It takes a millisecond or two.
        let signed = tokio::task::spawn_blocking(move || {
            let signature = match second {
                true => pair.key.sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(&text)),
                false => pair.key.sign(Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(&text)),
            };
            let signature = STANDARD.encode_to_string(signature.map_err(unusable)?);
            Ok(Signed { signature, certificate_path: pair.path.clone() })
        });
        signed.await.map_err(unusable)?
    }

    async fn pair(&self) -> Result<Arc<Pair>, SignerError> {
        self.shared.pair.get_or_try_init(|| self.open()).await.map(Arc::clone)
    }

    async fn open(&self) -> Result<Arc<Pair>, SignerError> {
        const KEY_NAME: &[u8] = b"v1/key";
        const CERTIFICATE_NAME: &[u8] = b"v1/certificate";
        let keyspace = Keyspace::new("sns/signer");
        let (storage, now) = (self.shared.storage.clone(), self.shared.clock.now());
        let (pair, made) = tokio::task::spawn_blocking(move || -> Result<_, SignerError> {
            let stored = (storage.get(&keyspace, KEY_NAME)?, storage.get(&keyspace, CERTIFICATE_NAME)?);
            if let (Some(key), Some(der)) = stored {
                let key = RsaPrivateKey::from_pkcs8_der(&key).map_err(unusable)?;
                return Ok((Pair::new(key, &der), None));
            }
            let key = RsaPrivateKey::new(&mut UnwrapErr(getrandom::SysRng), KEY_BITS).map_err(unusable)?;
            let der = certificate::make(&key, now)?;
            let mut transaction = Transaction::new();
            transaction.put(&keyspace, KEY_NAME, key.to_pkcs8_der().map_err(unusable)?.as_bytes().to_vec());
            transaction.put(&keyspace, CERTIFICATE_NAME, der.clone());
            Ok((Pair::new(key, &der), Some(transaction)))
        })
        .await
        .map_err(unusable)??;
        if let Some(transaction) = made {
            self.shared.storage.commit(transaction).await?;
        }
        Ok(Arc::new(pair))
    }
}

impl Pair {
    fn new(key: RsaPrivateKey, der: &[u8]) -> Self {
        let path = format!("{}{}{}", PATH.0, &hex::encode(Sha256::digest(der))[..32], PATH.1);
        Self { key, certificate: certificate::pem(der), path }
    }
}

pub(super) fn unusable(error: impl std::fmt::Display) -> SignerError {
    SignerError::Key(error.to_string())
}
