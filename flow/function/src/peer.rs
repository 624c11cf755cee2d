//! Who is at the other end of a TCP connection of this machine, from `/proc`: functions share the node's network, so an
//! address alone does not tell them from anybody else.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::OnceLock;

use rustix::process::{getpid, getuid};

use crate::socket::find;
use crate::usage::{descendants, open_files};

/// Whether this machine tells who holds a socket; found out once, by asking about one of our own. Where it does not, nobody is
/// refused for who they are.
pub(crate) fn can_be_told() -> bool {
    static TOLD: OnceLock<bool> = OnceLock::new();
    *TOLD.get_or_init(|| tells().unwrap_or(false))
}

fn tells() -> io::Result<bool> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let here = listener.local_addr()?;
    let stream = TcpStream::connect(here)?;
    let found = find(stream.local_addr()?, here);
    Ok(found.is_some_and(|socket| socket.inode != 0 && holds(getpid().as_raw_nonzero().get(), socket.inode)))
}

/// Whether the other end of a connection is held by a process or one of its descendants. `peer` is the other end, `here`
/// this one. Reads the disk's way: not for an async worker.
pub(crate) fn is_of_tree(peer: SocketAddr, here: SocketAddr, root: i32) -> bool {
    if !can_be_told() {
        return true;
    }
    let Some(socket) = find(peer, here).filter(|socket| socket.inode != 0) else { return false };
    std::iter::once(root).chain(descendants(root)).any(|process| holds(process, socket.inode))
}

/// Whether a connection comes from this process or from what it started, functions among them; from this machine, where
/// that cannot be told. `peer` is the other end, `here` this one. Not for an async worker.
#[must_use]
pub fn is_own(peer: SocketAddr, here: SocketAddr) -> bool {
    if !can_be_told() {
        return peer.ip().to_canonical().is_loopback();
    }
    is_of_tree(peer, here, getpid().as_raw_nonzero().get()) || may_be_function(peer, here)
}

/// Whether a connection may come from a function: what this process has started holds its other end, or may hold it where
/// that cannot be seen. `peer` is the other end, `here` this one. Not for an async worker.
#[must_use]
pub fn may_be_function(peer: SocketAddr, here: SocketAddr) -> bool {
    if !can_be_told() {
        return false;
    }
    let Some(socket) = find(peer, here) else {
        // Another machine's. Of this one the kernel has forgotten it already: it said what it wanted and left.
        return peer.ip().to_canonical().is_loopback();
    };
    if socket.inode == 0 {
        return true;
    }
    let own = getpid().as_raw_nonzero().get();
    socket.user == getuid().as_raw()
        && descendants(own).into_iter().any(|process| holds(process, socket.inode) || holds_hidden(process))
}

fn holds(process: i32, inode: u64) -> bool {
    let name = format!("socket:[{inode}]");
    open_files(process)
        .into_iter()
        .any(|file| fs::read_link(file).is_ok_and(|target| target.as_os_str() == name.as_str()))
}

/// Whether a process has open files that are in no table: on their way through one of its sockets, or handed to an io_uring.
fn holds_hidden(process: i32) -> bool {
    open_files(process).into_iter().any(|file| {
        let target = fs::read_link(&file).unwrap_or_default();
        let name = target.to_string_lossy();
        (name.starts_with("socket:") || name.ends_with("[io_uring]"))
            && information(&file).is_some_and(|told| hides(&told))
    })
}

/// What the kernel tells of an open file: of `/proc/P/task/T/fd/N` the text of `/proc/P/task/T/fdinfo/N`.
fn information(file: &Path) -> Option<String> {
    let task = file.parent()?.parent()?;
    fs::read_to_string(task.join("fdinfo").join(file.file_name()?)).ok()
}

fn hides(information: &str) -> bool {
    let counts = information.lines().filter_map(|line| line.split_once(':'));
    counts.filter(|(field, _)| matches!(*field, "scm_fds" | "UserFiles")).any(|(_, count)| count.trim() != "0")
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_hides_files_is_told_by_what_the_kernel_says_of_it() {
        assert!(hides("flags: 02\nscm_fds: 1\n") && !hides("flags: 02\nscm_fds: 0\n"));
    }

    /// A child connects, in one of several ways; what is told of its connection.
    fn connected(code: &str) -> (bool, bool) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        let mut child = Command::new("python3")
            .args([
                "-c",
                &format!(
                    "import socket, sys, os\nport = int(sys.argv[1])\n{code}\nprint('ready', flush=True); input()"
                ),
            ])
            .arg(here.port().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let (_stream, peer) = listener.accept().unwrap();
        let told = (is_of_tree(peer, here, i32::try_from(child.id()).unwrap()), may_be_function(peer, here));
        child.kill().unwrap();
        child.wait().unwrap();
        told
    }

    /// One test: a child that hides something makes every connection doubtful as long as it lives.
    #[test]
    fn connections_of_children_are_known_however_they_hide() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        assert!(can_be_told());
        let _own = TcpStream::connect(here).unwrap();
        let (_stream, peer) = listener.accept().unwrap();
        assert!(!may_be_function(peer, here), "it is this process's own");
        let plain = "s = socket.create_connection(('127.0.0.1', port))";
        assert_eq!(connected(plain), (true, true));
        let dual = "s = socket.socket(socket.AF_INET6); s.connect(('::ffff:127.0.0.1', port))";
        assert_eq!(connected(dual), (true, true));
        let on_its_way =
            format!("{plain}\na, b = socket.socketpair()\nsocket.send_fds(a, [b'x'], [s.fileno()]); s.close()");
        assert_eq!(connected(&on_its_way), (false, true));
        assert_eq!(connected(&format!("{plain}\ns.close()")), (false, true));
    }
}
