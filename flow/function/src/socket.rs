//! Finds a socket of this machine by its two ends: asks the kernel for that one (`sock_diag(7)`), else reads its tables
//! (`/proc/net/tcp`), which takes long where there are many connections.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

/// The kernel's tables of connections. A dual-stack socket stands in the second, whatever it speaks.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// A socket as the kernel shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Socket {
    /// 0 once no process holds it.
    pub(crate) inode: u64,
    pub(crate) user: u32,
}

/// The socket whose own end is `own` and whose other end is `other`. Not for an async worker.
pub(crate) fn find(own: SocketAddr, other: SocketAddr) -> Option<Socket> {
    ask(own, other).unwrap_or_else(|_| {
        let tables = TABLES.iter().filter_map(|table| fs::read_to_string(table).ok());
        tables.into_iter().find_map(|table| find_in(&table, own, other))
    })
}

// The numbers of `linux/netlink.h`, `linux/sock_diag.h` and `linux/inet_diag.h`.
const HEADER_BYTES: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const FAMILY_INET: u8 = 2;
const FAMILY_INET6: u8 = 10;
const PROTOCOL_TCP: u8 = 6;
const STATE_LISTEN: u8 = 10;
/// Where an `inet_diag_msg` has the state, the user and the inode.
const STATE_AT: usize = HEADER_BYTES + 1;
const USER_AT: usize = HEADER_BYTES + 64;
const INODE_AT: usize = HEADER_BYTES + 68;

/// Asks the kernel for one socket. An error: it cannot be asked here.
fn ask(own: SocketAddr, other: SocketAddr) -> io::Result<Option<Socket>> {
    let kernel =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    send(&kernel, &question(own, other), SendFlags::empty())?;
    let mut answer = [0; 256];
    // It has answered before `send` returns.
    let (read, _) = recv(&kernel, &mut answer[..], RecvFlags::DONTWAIT)?;
    told(&answer[..read])
}

/// An `inet_diag_req_v2` with its header.
fn question(own: SocketAddr, other: SocketAddr) -> Vec<u8> {
    let (own_ip, other_ip) = (own.ip().to_canonical(), other.ip().to_canonical());
    let bytes = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => [ip.octets().as_slice(), &[0; 12]].concat(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let family = if own_ip.is_ipv4() { FAMILY_INET } else { FAMILY_INET6 };
    let mut body = vec![family, PROTOCOL_TCP, 0, 0];
    // In any state.
    body.extend(u32::MAX.to_ne_bytes());
    body.extend(own.port().to_be_bytes());
    body.extend(other.port().to_be_bytes());
    body.extend(bytes(own_ip));
    body.extend(bytes(other_ip));
    // On any interface, with any cookie.
    body.extend(0u32.to_ne_bytes());
    body.extend([u8::MAX; 8]);
    let length = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence and sender: there is one question.
    message.extend([0; 8]);
    message.extend(body);
    message
}

fn told(answer: &[u8]) -> io::Result<Option<Socket>> {
    let number = |at: usize| {
        let bytes = answer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_ne_bytes).ok_or(io::ErrorKind::UnexpectedEof)
    };
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    match kind {
        Some(SOCK_DIAG_BY_FAMILY) if answer.get(STATE_AT) == Some(&STATE_LISTEN) => Ok(None),
        Some(SOCK_DIAG_BY_FAMILY) => Ok(Some(Socket { inode: number(INODE_AT)?.into(), user: number(USER_AT)? })),
        Some(NLMSG_ERROR) => {
            let error = number(HEADER_BYTES)?.cast_signed().wrapping_neg();
            if error == Errno::NOENT.raw_os_error() { Ok(None) } else { Err(io::Error::from_raw_os_error(error)) }
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The row of a table whose own end is `own` and whose other end is `other`.
fn find_in(table: &str, own: SocketAddr, other: SocketAddr) -> Option<Socket> {
    let same = |field: &str, wanted: SocketAddr| {
        address(field).is_some_and(|found| found == (wanted.ip().to_canonical(), wanted.port()))
    };
    table.lines().skip(1).find_map(|row| {
        let fields: Vec<&str> = row.split_whitespace().collect();
        let [_, local, remote, _, _, _, _, user, _, inode, ..] = fields[..] else { return None };
        let found = same(local, own) && same(remote, other);
        found.then(|| Some(Socket { inode: inode.parse().ok()?, user: user.parse().ok()? })).flatten()
    })
}

/// `0100007F:1F90`: words in the machine's order, in hex.
fn address(field: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = field.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = if ip.len() == 8 {
        IpAddr::from(Ipv4Addr::from(word(0)?))
    } else {
        let words = [word(0)?, word(8)?, word(16)?, word(24)?];
        let bytes: [u8; 16] = words.concat().try_into().ok()?;
        Ipv6Addr::from(bytes).to_canonical()
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn rows_are_found_in_either_table() {
        let (own, other) = ("127.0.0.1:40000".parse().unwrap(), "127.0.0.1:8080".parse().unwrap());
        let row = |ends: &str| format!("  sl\n   1: {ends} 01 0:0 0:0 00000000  1000  0 42 1\n");
        let found = Some(Socket { inode: 42, user: 1000 });
        assert_eq!(find_in(&row("0100007F:1F90 0100007F:9C40"), own, other), None, "the other end's own");
        assert_eq!(find_in(&row("0100007F:9C40 0100007F:1F90"), own, other), found);
        let mapped = "0000000000000000FFFF00000100007F";
        assert_eq!(find_in(&row(&format!("{mapped}:9C40 {mapped}:1F90")), own, other), found);
    }

    #[test]
    fn the_kernel_says_what_its_tables_say() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A machine without the second protocol has nothing to be asked.
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let here = listener.local_addr().unwrap();
            let stream = TcpStream::connect(here).unwrap();
            let peer = stream.local_addr().unwrap();
            let tables = TABLES.iter().map(|table| fs::read_to_string(table).unwrap());
            let listed = tables.into_iter().find_map(|table| find_in(&table, peer, here));
            assert!(listed.is_some_and(|socket| socket.inode > 0));
            assert_eq!(ask(peer, here).unwrap(), listed);
            let nobody = SocketAddr::new(peer.ip(), 1);
            assert_eq!(ask(nobody, here).unwrap(), None);
            assert_eq!(ask(here, SocketAddr::new(peer.ip(), 1)).unwrap(), None, "it only listens there");
        }
    }
}
