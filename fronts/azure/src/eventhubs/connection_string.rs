//! Connection strings: what clients are given to find a namespace and to prove themselves.

use millstream_namespace::DEFAULT_NAMESPACE;

/// Where clients find the AMQP listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The host of the default namespace; others have theirs below it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it speaks TLS; without, clients have to be told so.
    pub tls: bool,
}

impl Endpoint {
    /// The connection string of a policy's key; with a hub for that hub only. A namespace other than the default one is
    /// told apart by the host's first label.
    #[must_use]
    pub fn connection_string(&self, namespace: &str, hub: Option<&str>, policy: &str, key: &str) -> String {
        let host = match namespace {
            DEFAULT_NAMESPACE => self.host.clone(),
            other => format!("{other}.{}", self.host),
        };
        let port = match (self.tls, self.port) {
            (true, 5671) | (false, 5672) => String::new(),
            (_, port) => format!(":{port}"),
        };
        let entity = hub.map(|hub| format!(";EntityPath={hub}")).unwrap_or_default();
        let plain = if self.tls { "" } else { ";UseDevelopmentEmulator=true" };
        format!("Endpoint=sb://{host}{port}/;SharedAccessKeyName={policy};SharedAccessKey={key}{entity}{plain}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_host_port_key_and_entity() {
        let plain = Endpoint { host: "localhost".into(), port: 5672, tls: false };
        assert_eq!(
            plain.connection_string("default", None, "Root", "k"),
            "Endpoint=sb://localhost/;SharedAccessKeyName=Root;SharedAccessKey=k;UseDevelopmentEmulator=true"
        );
        let tls = Endpoint { host: "data.example.org".into(), port: 9000, tls: true };
        assert_eq!(
            tls.connection_string("shop", Some("orders"), "Send", "k"),
            "Endpoint=sb://shop.data.example.org:9000/;SharedAccessKeyName=Send;SharedAccessKey=k;EntityPath=orders"
        );
    }
}
