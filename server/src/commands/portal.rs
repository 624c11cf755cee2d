//! `millstream portal`: who owns the developer portal.

use bytes::Bytes;
use http::Method;

use crate::cli::PortalCommand;
use crate::remote::Remote;

/// Makes an owner and prints the link with which the password is chosen.
///
/// # Errors
/// An address that is none, or no node.
pub async fn run(command: &PortalCommand) -> anyhow::Result<()> {
    let PortalCommand::Owner { email, node } = command;
    let body = Bytes::from(email.clone());
    let link = Remote::new(&node.data).ask_whole(Method::POST, "/admin/portal/owner", body).await?;
    println!("{email} owns the developer portal. The password is chosen here, once, within a day:");
    println!("{}", String::from_utf8_lossy(&link).trim_end());
    Ok(())
}
