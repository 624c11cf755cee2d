//! Sessions: numbers and windows of both directions (part 2.5).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::link::Link;
use super::{Connection, LinkId};
use crate::codec::performative::{Begin, Flow, Performative};
use crate::condition;
use crate::error::AmqpError;
use crate::frame;

/// The number of the first transfer that is sent.
const FIRST_OUTGOING_ID: u32 = 1;
/// What is said of the transfers that can be sent: the peer's window alone decides.
const OUTGOING_WINDOW: u32 = 65_536;

/// A session's state.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The transfer that the peer sends next.
    pub(super) next_incoming: u32,
    /// Transfers that the peer may send before it is told of more.
    pub(super) incoming_window: u32,
    /// The transfer that is sent next.
    pub(super) next_outgoing: u32,
    /// The delivery that is sent next.
    pub(super) next_delivery: u32,
    /// Transfers that the peer takes now.
    pub(super) remote_window: u32,
    pub(super) links: BTreeMap<u32, Link>,
    /// Frames of one delivery for which the peer's window was too small.
    pub(super) waiting: VecDeque<Bytes>,
    /// The link of that delivery.
    pub(super) waiting_handle: u32,
    /// An End was sent; what comes before the peer's own is passed over.
    pub(super) ended: bool,
}

impl Session {
    /// Forgets what waits of a link that ends.
    pub(super) fn forget_waiting(&mut self, handle: u32) {
        if self.waiting_handle == handle {
            self.waiting.clear();
        }
    }

    /// The session's part of a flow.
    pub(super) fn flow(&self) -> Flow {
        Flow {
            next_incoming_id: Some(self.next_incoming),
            incoming_window: self.incoming_window,
            next_outgoing_id: self.next_outgoing,
            outgoing_window: OUTGOING_WINDOW,
            ..Flow::default()
        }
    }
}

impl Connection {
    pub(super) fn begin(&mut self, channel: u16, begin: &Begin) -> Result<(), AmqpError> {
        let highest = self.options.channel_max.min(self.peer.channel_max);
        if channel > highest {
            let text = format!("expected a channel of at most {highest}, found {channel}");
            return Err(AmqpError::new(condition::NOT_ALLOWED, text));
        }
        if self.sessions.contains_key(&channel) {
            let text = format!("channel {channel} has a session already");
            return Err(AmqpError::new(condition::NOT_ALLOWED, text));
        }
        let session = Session {
            next_incoming: begin.next_outgoing_id,
            incoming_window: self.options.incoming_window,
            next_outgoing: FIRST_OUTGOING_ID,
            remote_window: begin.incoming_window,
            ..Session::default()
        };
        let answer = Begin {
            remote_channel: Some(channel),
            next_outgoing_id: session.next_outgoing,
            incoming_window: session.incoming_window,
            outgoing_window: OUTGOING_WINDOW,
            handle_max: self.options.handle_max,
        };
        frame::put_performative(&mut self.output, channel, &Performative::Begin(answer));
        self.sessions.insert(channel, session);
        Ok(())
    }

    pub(super) fn end(&mut self, channel: u16) -> Result<(), AmqpError> {
        self.flush_settlements();
        let Some(session) = self.sessions.remove(&channel) else { return Err(no_session(channel)) };
        if !session.ended {
            frame::put_performative(&mut self.output, channel, &Performative::End(None));
        }
        self.forget_links(channel, session);
        Ok(())
    }

    pub(super) fn flow(&mut self, channel: u16, flow: &Flow) -> Result<(), AmqpError> {
        let Some(session) = self.sessions.get_mut(&channel) else { return Err(no_session(channel)) };
        if session.ended {
            return Ok(());
        }
        // A peer that has not heard the Begin counts from its first number.
        let counted_from = flow.next_incoming_id.unwrap_or(FIRST_OUTGOING_ID);
        let under_way = session.next_outgoing.wrapping_sub(counted_from);
        session.remote_window = flow.incoming_window.saturating_sub(under_way.min(flow.incoming_window));
        self.send_waiting(channel);
        match flow.handle {
            Some(handle) => self.link_flow(LinkId { channel, handle }, flow),
            None => {
                if flow.echo {
                    self.put_session_flow(channel);
                }
                Ok(())
            }
        }
    }

    /// Tells the peer how many transfers are taken, from now on as many as ever.
    pub(super) fn put_session_flow(&mut self, channel: u16) {
        let window = self.options.incoming_window;
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        session.incoming_window = window;
        let flow = Performative::Flow(session.flow());
        frame::put_performative(&mut self.output, channel, &flow);
    }

    /// Sends what waited for the peer's window.
    fn send_waiting(&mut self, channel: u16) {
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        while session.remote_window > 0
            && let Some(frame) = session.waiting.pop_front()
        {
            self.output.extend_from_slice(&frame);
            session.remote_window -= 1;
            session.next_outgoing = session.next_outgoing.wrapping_add(1);
        }
    }
}

pub(super) fn no_session(channel: u16) -> AmqpError {
    AmqpError::new(condition::NOT_ALLOWED, format!("channel {channel} has no session"))
}
