//! TLS in front of a connection: handshakes that end in time. All listeners of a node share one certificate, whatever they
//! speak behind it.
//! Read next: `certificate.rs` (where it comes from, and what becomes of it when its files change).

mod certificate;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use certificate::Certificate;

pub use tokio_rustls::server::TlsStream;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What is spoken behind TLS where HTTP is, by its names of RFC 7301; of what a client offers, the first of these is taken.
const HTTP: [&[u8]; 2] = [HTTP2, b"http/1.1"];

/// HTTP/2 in such an agreement.
const HTTP2: &[u8] = b"h2";

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or is no PEM.
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not go together.
    #[error("the certificate cannot be served: {0}")]
    Certificate(#[from] tokio_rustls::rustls::Error),
}

/// Takes TLS connections. Cheap to clone.
#[derive(Clone)]
pub struct Acceptor {
    certificate: Arc<Certificate>,
    config: Arc<ServerConfig>,
}

impl Acceptor {
    /// An acceptor with a certificate (its chain behind it) and its key, which are read again when their files change. Reads
    /// files: not for an async worker.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn from_files(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let certificate = Arc::new(Certificate::read(certificate, key, Arc::clone(&provider))?);
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as _);
        Ok(Self { certificate, config: Arc::new(config) })
    }

    /// The same for connections of HTTP: a client that knows HTTP/2 is told that it may speak it.
    pub(crate) fn of_http(&self) -> Self {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = HTTP.map(<[u8]>::to_vec).into();
        Self { certificate: Arc::clone(&self.certificate), config: Arc::new(config) }
    }

    /// Agrees with a client on a connection, within ten seconds.
    ///
    /// # Errors
    /// The client speaks no TLS, no version of it that is served, or takes too long.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let agreed = async {
            self.certificate.keep_up().await;
            TlsAcceptor::from(Arc::clone(&self.config)).accept(stream).await
        };
        tokio::time::timeout(HANDSHAKE, agreed).await?
    }
}

/// Whether both sides have agreed on HTTP/2; nothing when the client left open what is spoken.
pub(crate) fn agreed_on_http2(stream: &TlsStream<TcpStream>) -> Option<bool> {
    stream.get_ref().1.alpn_protocol().map(|agreed| agreed == HTTP2)
}
