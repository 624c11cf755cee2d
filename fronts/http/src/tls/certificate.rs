//! The certificate of a node and its key: read from PEM files, and read again when these change, so that a renewed certificate
//! is served without a restart. What cannot be read replaces nothing.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::TlsError;

/// How long nobody looks at the files after somebody has: many connections may begin in a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A certificate as its files have it.
#[derive(Debug)]
pub(super) struct Certificate {
    files: Files,
    served: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<Seen>,
}

/// Where a certificate comes from.
#[derive(Debug)]
struct Files {
    /// Its chain behind it.
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
}

/// When the files were looked at last, and what they were then.
#[derive(Debug)]
struct Seen {
    at: Instant,
    stamps: [Stamp; 2],
}

/// What tells that a file is another one than it was: its inode, when it was changed (seconds, nanoseconds) and its bytes;
/// `None` where there is none.
type Stamp = Option<(u64, i64, i64, u64)>;

impl Certificate {
    /// Reads the files, which blocks.
    pub(super) fn read(certificate: PathBuf, key: PathBuf, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let files = Files { certificate, key, provider };
        let stamps = files.stamps();
        let served = RwLock::new(Arc::new(files.read()?));
        Ok(Self { files, served, seen: Mutex::new(Seen { at: Instant::now(), stamps }) })
    }

    /// Has the files read again if they have changed; looks at most once a second.
    pub(super) async fn keep_up(self: &Arc<Self>) {
        if self.is_due() {
            let own = Arc::clone(self);
            let _ = tokio::task::spawn_blocking(move || own.look()).await;
        }
    }

    fn is_due(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let due = seen.at.elapsed() >= LOOK_EVERY;
        if due {
            seen.at = Instant::now();
        }
        due
    }

    fn look(&self) {
        // Before the files are read: what changes meanwhile is read the next time.
        let stamps = self.files.stamps();
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.stamps == stamps {
                return;
            }
            seen.stamps = stamps;
        }
        match self.files.read() {
            Ok(read) => {
                *self.served.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
                tracing::info!(certificate = %self.files.certificate.display(), "a changed certificate is served");
            }
            // Such as between the writing of one file and of the other.
            Err(error) => tracing::warn!(%error, "the changed certificate is not served: the one before it stays"),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Files {
    fn stamps(&self) -> [Stamp; 2] {
        [stamp(&self.certificate), stamp(&self.key)]
    }

    fn read(&self) -> Result<CertifiedKey, TlsError> {
        let failed = |path: &Path, reason: String| TlsError::File { file: path.display().to_string(), reason };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| failed(&self.certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(failed(&self.certificate, "expected a certificate, found none".into()));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| failed(&self.key, error.to_string()))?;
        Ok(CertifiedKey::from_der(chain, key, &self.provider)?)
    }
}

fn stamp(path: &Path) -> Stamp {
    let file = fs::metadata(path).ok()?;
    Some((file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
}
