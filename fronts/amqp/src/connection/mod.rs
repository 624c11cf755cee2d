//! One connection as a state machine: bytes come in and events go out, commands come in and bytes go out.
//!
//! Does no I/O, knows no clock and no service: the caller brings bytes and times, takes [`Event`]s one by one and says
//! what becomes of links and deliveries. Whatever a peer does wrong is answered with the standard's error and ends what it
//! happened on: the link, the session or the connection. Read next: `handshake`, `session`, `link`.

mod handshake;
mod link;
mod receive;
mod send;
mod session;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};

use crate::codec::Text;
use crate::codec::performative::{Attach, Detach, Performative};
use crate::condition;
use crate::error::AmqpError;
use crate::frame;

use handshake::Phase;
pub use link::Accepted;
use session::Session;

/// How a server presents itself, and its limits.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name in the Open.
    pub container_id: String,
    /// Mechanisms of the security layer that are offered; each is let through, what it proves is the caller's to judge.
    pub mechanisms: &'static [&'static str],
    /// What a successful outcome of the security layer says.
    pub welcome: &'static [u8],
    /// Bytes of the largest frame that is taken.
    pub frame_bytes_max: u32,
    /// The highest channel: sessions of one connection, less one.
    pub channel_max: u16,
    /// The highest handle: links of one session, less one.
    pub handle_max: u32,
    /// Links of one connection, over all sessions.
    pub links_max: usize,
    /// Transfers that a session takes before it has said again that it takes more.
    pub incoming_window: u32,
    /// Bytes of deliveries that came in part, over all links.
    pub partial_bytes_max: usize,
    /// Milliseconds from the first byte's chance to the Open.
    pub handshake_ms: u64,
    /// Milliseconds without a frame that the peer is told to stay below; twice that ends the connection.
    pub idle_ms: u32,
}

/// A link of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId {
    /// Its session.
    pub channel: u16,
    /// Its handle, the same in both directions.
    pub handle: u32,
}

/// A delivery that came whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// On which link.
    pub link: LinkId,
    /// Its number in the session.
    pub id: u32,
    /// Whether the sender waits for no outcome.
    pub settled: bool,
    /// What the message is; 0 is the standard's.
    pub format: u32,
    /// The message.
    pub message: Bytes,
}

/// Something that the caller has to act on.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The connection is open.
    Opened {
        /// Whom the client means to speak to.
        hostname: Option<Text>,
        /// The mechanism that it chose and what it sent with it; `None` without a security layer.
        security: Option<(Text, Bytes)>,
    },
    /// The peer wants a link: answer with [`Connection::accept`] or [`Connection::refuse`].
    Attach(LinkId, Box<Attach>),
    /// A delivery: answer with [`Connection::settle`], also when it is settled, since that makes room for others.
    Delivery(Delivery),
    /// A link may send more than before, or is to use up its credit.
    Credit(LinkId),
    /// A link is gone: by the peer, with its session or with the connection. Not told for links that the caller ended.
    Detached(LinkId),
}

/// What the peer said in its Open.
#[derive(Debug, Clone)]
struct Peer {
    frame_bytes_max: usize,
    channel_max: u16,
    idle_ms: Option<u32>,
}

/// An outcome that waits to be told together with its neighbours.
#[derive(Debug)]
struct Settlement {
    channel: u16,
    delivery: u32,
    refused: Option<AmqpError>,
}

/// The state of a connection.
#[derive(Debug)]
pub struct Connection {
    options: Options,
    phase: Phase,
    security: Option<(Text, Bytes)>,
    peer: Peer,
    output: BytesMut,
    events: VecDeque<Event>,
    sessions: BTreeMap<u16, Session>,
    links: usize,
    partial_bytes: usize,
    settlements: Vec<Settlement>,
    began: u64,
    last_in: u64,
    last_out: u64,
}

impl Connection {
    /// A connection whose peer has sent nothing yet; `now` in milliseconds of any rising clock.
    #[must_use]
    pub fn new(options: Options, now: u64) -> Self {
        let peer = Peer { frame_bytes_max: frame::FRAME_BYTES_MIN as usize, channel_max: u16::MAX, idle_ms: None };
        Self {
            options,
            phase: Phase::Header,
            security: None,
            peer,
            output: BytesMut::new(),
            events: VecDeque::new(),
            sessions: BTreeMap::new(),
            links: 0,
            partial_bytes: 0,
            settlements: Vec::new(),
            began: now,
            last_in: now,
            last_out: now,
        }
    }

    /// The next event, from as many of the bytes that came as it takes; `None` when there are too few.
    pub fn next_event(&mut self, input: &mut BytesMut, now: u64) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.phase == Phase::Closed {
                input.clear();
                return None;
            }
            match self.advance(input) {
                Ok(true) => self.last_in = now,
                Ok(false) => return None,
                Err(error) => self.close(Some(error)),
            }
        }
    }

    /// Bytes for the peer: take off what was written.
    pub fn output(&mut self) -> &mut BytesMut {
        self.flush_settlements();
        &mut self.output
    }

    /// Notes that bytes left.
    pub fn sent(&mut self, now: u64) {
        self.last_out = now;
    }

    /// Whether nothing more will come or go once the output is written.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// When [`Connection::tick`] has to be called at the latest.
    #[must_use]
    pub fn deadline(&self) -> u64 {
        if self.phase != Phase::Open {
            return self.began + self.options.handshake_ms;
        }
        let silence = self.last_in + 2 * u64::from(self.options.idle_ms);
        self.keep_alive().map_or(silence, |time| time.min(silence))
    }

    /// Does what time asks for: frames that say that this side is there, and the end of a peer that is not.
    pub fn tick(&mut self, now: u64) {
        if self.phase == Phase::Closed || now < self.deadline() {
            return;
        }
        if self.phase != Phase::Open {
            let text = format!("expected an Open within {} ms", self.options.handshake_ms);
            self.close(Some(AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, text)));
            return;
        }
        let silence = 2 * u64::from(self.options.idle_ms);
        if now >= self.last_in + silence {
            let text = format!("expected a frame every {} ms, none came for {silence} ms", self.options.idle_ms);
            self.close(Some(AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, text)));
            return;
        }
        frame::put(&mut self.output, frame::Kind::Amqp, 0, |_| {});
        self.last_out = now;
    }

    /// When the peer has to hear something: half of the time that it allows.
    fn keep_alive(&self) -> Option<u64> {
        self.peer.idle_ms.filter(|&idle| idle > 0).map(|idle| self.last_out + u64::from((idle / 2).max(1)))
    }

    /// Ends the connection. Links are told as detached.
    pub fn close(&mut self, error: Option<AmqpError>) {
        if self.phase == Phase::Closed {
            return;
        }
        self.flush_settlements();
        match self.phase {
            // Nobody speaks AMQP yet: the header that was expected says what is spoken here.
            Phase::Header => self.output.extend_from_slice(&frame::SASL_HEADER),
            Phase::SaslInit => frame::put_outcome(&mut self.output, 1, None),
            // A Close needs an Open before it.
            Phase::AmqpHeader => {}
            Phase::AwaitOpen => {
                self.put_open();
                frame::put_performative(&mut self.output, 0, &Performative::Close(error));
            }
            Phase::Open | Phase::Closed => frame::put_performative(&mut self.output, 0, &Performative::Close(error)),
        }
        self.end_all();
    }

    fn end_all(&mut self) {
        self.phase = Phase::Closed;
        for (channel, session) in std::mem::take(&mut self.sessions) {
            self.forget_links(channel, session);
        }
    }

    /// Tells that a session's links are gone.
    fn forget_links(&mut self, channel: u16, session: Session) {
        for (handle, link) in session.links {
            self.links -= 1;
            self.partial_bytes -= link.partial_bytes();
            if !link.is_ended() {
                self.events.push_back(Event::Detached(LinkId { channel, handle }));
            }
        }
    }

    /// Ends a session with an error; what the peer still sends on it is passed over until it has heard.
    fn end_session(&mut self, channel: u16, error: AmqpError) {
        self.flush_settlements();
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        if session.ended {
            return;
        }
        let links = std::mem::take(&mut session.links);
        session.ended = true;
        session.waiting.clear();
        self.forget_links(channel, Session { links, ..Session::default() });
        frame::put_performative(&mut self.output, channel, &Performative::End(Some(error)));
    }

    /// Ends a link with an error, or without. The caller is not told: it knows.
    pub fn detach(&mut self, id: LinkId, error: Option<AmqpError>) {
        self.flush_settlements();
        let Some(session) = self.sessions.get_mut(&id.channel) else { return };
        let Some(link) = session.links.get_mut(&id.handle).filter(|link| !link.is_ended()) else { return };
        self.partial_bytes -= link.partial_bytes();
        link.end();
        session.forget_waiting(id.handle);
        let detach = Detach { handle: id.handle, closed: true, error };
        frame::put_performative(&mut self.output, id.channel, &Performative::Detach(detach));
    }
}
