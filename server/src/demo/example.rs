//! The stock-trades examples as part of the binary, so that the demo runs from anywhere.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::demo::producer::Destination;

/// An example: its files, and where its producer and its summary look.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// The folder below the data folder in which it lies.
    pub folder: &'static str,
    /// The query whose rows are shown, and its output.
    pub query: (&'static str, &'static str),
    /// The hub that trades are sent to; `None`: the API that the example defines.
    pub hub: Option<&'static str>,
    files: &'static [(&'static str, &'static str)],
}

/// The story on AWS's services.
pub const AWS: Example = Example {
    folder: "demo",
    query: ("share-change-per-minute", "OUTPUT_STREAM"),
    hub: None,
    files: &[
        ("pipeline.toml", include_str!("../../../examples/stock-trades/pipeline.toml")),
        ("share_change.kinesis.sql", include_str!("../../../examples/stock-trades/share_change.kinesis.sql")),
        (
            "share_change.stream-analytics.sql",
            include_str!("../../../examples/stock-trades/share_change.stream-analytics.sql"),
        ),
        ("functions/native/bootstrap", include_str!("../../../examples/stock-trades/functions/native/bootstrap")),
    ],
};

/// The same story on Azure's services.
pub const AZURE: Example = Example {
    folder: "demo-azure",
    query: ("share-change-job", "ShareChangeDocuments"),
    hub: Some("stocktransactions"),
    files: &[
        ("pipeline.toml", include_str!("../../../examples/stock-trades-azure/pipeline.toml")),
        ("share_change.sql", include_str!("../../../examples/stock-trades-azure/share_change.sql")),
        ("functions/native/bootstrap", include_str!("../../../examples/stock-trades-azure/functions/native/bootstrap")),
    ],
};

/// An API that earns money: plans, keys and the developer portal.
pub const PAID_API: Example = Example {
    folder: "demo-paid-api",
    query: ("", ""),
    hub: None,
    files: &[
        ("pipeline.toml", include_str!("../../../examples/paid-api/pipeline.toml")),
        ("openapi.yaml", include_str!("../../../examples/paid-api/openapi.yaml")),
        ("functions/native/bootstrap", include_str!("../../../examples/paid-api/functions/native/bootstrap")),
    ],
};

impl Example {
    /// Writes the example into a folder and gives its pipeline file.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        for (name, text) in self.files {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, text)?;
            if name.ends_with("bootstrap") {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            }
        }
        Ok(folder.join("pipeline.toml"))
    }
}

/// Where trades for a hub are posted, with a token made from its namespace's key. `until`: when the token ends, Unix seconds.
///
/// # Errors
/// When the address cannot be one.
pub fn hub_destination(endpoint: &str, hub: &str, policy: &str, key: &str, until: i64) -> anyhow::Result<Destination> {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let resource = escape(&format!("{endpoint}/{hub}"));
    let signature = millstream_namespace::signature(key, &resource, &until.to_string())
        .ok_or_else(|| anyhow::anyhow!("the key of {policy} cannot sign"))?;
    Ok(Destination {
        url: format!("{endpoint}/{hub}/messages").parse()?,
        authorization: Some(format!(
            "SharedAccessSignature sr={resource}&sig={}&se={until}&skn={policy}",
            escape(&signature)
        )),
    })
}
