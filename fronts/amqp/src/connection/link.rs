//! Links: how they come and go, and their credit (part 2.6).

use bytes::BytesMut;

use super::session::no_session;
use super::{Connection, Event, LinkId};
use crate::codec::performative::{Attach, Detach, Flow, Performative, Role};
use crate::codec::{Text, Value};
use crate::condition;
use crate::error::AmqpError;
use crate::frame;

/// A link's state.
#[derive(Debug)]
pub(super) struct Link {
    /// What the peer asked for, until it is answered.
    asked: Option<Box<Attach>>,
    pub(super) side: Side,
}

/// What this end of the link does.
#[derive(Debug)]
pub(super) enum Side {
    Receiving(Receiving),
    Sending(Sending),
    /// A Detach was sent; what comes before the peer's own is passed over.
    Ended,
}

/// This end takes deliveries.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    pub(super) delivery_count: u32,
    pub(super) credit: u32,
    /// Deliveries that may be under way or unsettled at once.
    pub(super) credit_max: u32,
    /// Deliveries that the caller has not settled.
    pub(super) unsettled: u32,
    pub(super) message_bytes_max: usize,
    pub(super) partial: Option<Partial>,
}

/// A delivery that came in part.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) id: u32,
    pub(super) format: u32,
    pub(super) settled: bool,
    pub(super) bytes: BytesMut,
}

/// This end sends deliveries.
#[derive(Debug, Default)]
pub(super) struct Sending {
    pub(super) delivery_count: u32,
    pub(super) credit: u32,
    pub(super) drain: bool,
}

impl Link {
    pub(super) fn is_ended(&self) -> bool {
        matches!(self.side, Side::Ended)
    }

    pub(super) fn end(&mut self) {
        self.side = Side::Ended;
    }

    pub(super) fn partial_bytes(&self) -> usize {
        match &self.side {
            Side::Receiving(Receiving { partial: Some(partial), .. }) => partial.bytes.len(),
            _ => 0,
        }
    }
}

/// How a link is taken. Source and target are repeated as the peer gave them.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// How this end settles what it sends: 0 unsettled, 1 settled. What is sent is always settled.
    pub snd_settle_mode: u8,
    /// Bytes of the largest message.
    pub message_bytes_max: u64,
    /// When this end takes deliveries: how many may be under way or unsettled at once.
    pub credit: u32,
    /// What of the peer's wishes this end does.
    pub capabilities: Vec<Text>,
    /// A map of whatever else the peer is told, or null.
    pub properties: Value,
}

impl Connection {
    pub(super) fn attach(&mut self, channel: u16, attach: Box<Attach>) -> Result<(), AmqpError> {
        let Some(session) = self.sessions.get_mut(&channel) else { return Err(no_session(channel)) };
        if session.ended {
            return Ok(());
        }
        let handle = attach.handle;
        if handle > self.options.handle_max {
            let text = format!("expected a handle of at most {}, found {handle}", self.options.handle_max);
            return Err(AmqpError::new(condition::FRAMING_ERROR, text));
        }
        if session.links.contains_key(&handle) {
            let text = format!("handle {handle} has a link already");
            self.end_session(channel, AmqpError::new(condition::HANDLE_IN_USE, text));
            return Ok(());
        }
        if self.links >= self.options.links_max {
            let text = format!("expected at most {} links on a connection", self.options.links_max);
            self.end_session(channel, AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, text));
            return Ok(());
        }
        let side = match attach.role {
            Role::Sender => Side::Receiving(Receiving {
                delivery_count: attach.initial_delivery_count.unwrap_or(0),
                ..Receiving::default()
            }),
            Role::Receiver => Side::Sending(Sending::default()),
        };
        session.links.insert(handle, Link { asked: Some(attach.clone()), side });
        self.links += 1;
        self.events.push_back(Event::Attach(LinkId { channel, handle }, attach));
        Ok(())
    }

    /// Takes a link that the peer asked for, and gives it credit when it sends.
    pub fn accept(&mut self, id: LinkId, accepted: Accepted) {
        let Some(asked) = self.asked(id) else { return };
        let (source, target) = (asked.source.clone(), asked.target.clone());
        let answer = Attach { source, target, ..answer(&asked, &accepted) };
        frame::put_performative(&mut self.output, id.channel, &Performative::Attach(Box::new(answer)));
        if let Some(Side::Receiving(receiving)) = self.side(id) {
            receiving.message_bytes_max = usize::try_from(accepted.message_bytes_max).unwrap_or(usize::MAX);
            receiving.credit_max = accepted.credit;
            self.replenish(id);
        }
    }

    /// Refuses a link: the standard's way is to attach it without its end and to detach it with the reason at once.
    pub fn refuse(&mut self, id: LinkId, error: AmqpError) {
        let Some(asked) = self.asked(id) else { return };
        let refused = Accepted {
            snd_settle_mode: 0,
            message_bytes_max: 0,
            credit: 0,
            capabilities: Vec::new(),
            properties: Value::Null,
        };
        let mut answer = answer(&asked, &refused);
        answer.max_message_size = None;
        match asked.role {
            Role::Sender => answer.source = asked.source.clone(),
            Role::Receiver => answer.target = asked.target.clone(),
        }
        frame::put_performative(&mut self.output, id.channel, &Performative::Attach(Box::new(answer)));
        self.detach(id, Some(error));
    }

    /// What the peer asked for, once.
    fn asked(&mut self, id: LinkId) -> Option<Box<Attach>> {
        self.sessions.get_mut(&id.channel)?.links.get_mut(&id.handle)?.asked.take()
    }

    pub(super) fn side(&mut self, id: LinkId) -> Option<&mut Side> {
        Some(&mut self.sessions.get_mut(&id.channel)?.links.get_mut(&id.handle)?.side)
    }

    pub(super) fn detached(&mut self, channel: u16, detach: &Detach) -> Result<(), AmqpError> {
        self.flush_settlements();
        let Some(session) = self.sessions.get_mut(&channel) else { return Err(no_session(channel)) };
        if session.ended {
            return Ok(());
        }
        let handle = detach.handle;
        let Some(link) = session.links.remove(&handle) else {
            self.end_session(channel, unattached(handle));
            return Ok(());
        };
        session.forget_waiting(handle);
        self.links -= 1;
        self.partial_bytes -= link.partial_bytes();
        if !link.is_ended() {
            let answer = Detach { handle, closed: detach.closed, error: None };
            frame::put_performative(&mut self.output, channel, &Performative::Detach(answer));
            self.events.push_back(Event::Detached(LinkId { channel, handle }));
        }
        Ok(())
    }

    pub(super) fn link_flow(&mut self, id: LinkId, flow: &Flow) -> Result<(), AmqpError> {
        let Some(side) = self.side(id) else {
            self.end_session(id.channel, unattached(id.handle));
            return Ok(());
        };
        match side {
            Side::Sending(sending) => {
                // A peer that has not heard the Attach counts from the beginning.
                let count = flow.delivery_count.unwrap_or(0);
                let limit = count.wrapping_add(flow.link_credit.unwrap_or(0));
                let credit = limit.wrapping_sub(sending.delivery_count);
                // Less than what was sent already shows as a number beyond all sense.
                sending.credit = if credit > i32::MAX as u32 { 0 } else { credit };
                sending.drain = flow.drain;
                self.events.push_back(Event::Credit(id));
            }
            Side::Receiving(_) | Side::Ended => {}
        }
        if flow.echo {
            self.put_link_flow(id);
        }
        Ok(())
    }

    /// Deliveries that a link may send now; none while the peer's window or the delivery before holds it up.
    #[must_use]
    pub fn credit(&self, id: LinkId) -> u32 {
        let Some(session) = self.sessions.get(&id.channel) else { return 0 };
        if session.remote_window == 0 || !session.waiting.is_empty() {
            return 0;
        }
        match session.links.get(&id.handle).map(|link| &link.side) {
            Some(Side::Sending(sending)) => sending.credit,
            _ => 0,
        }
    }

    /// Whether the peer wants what is there at once and the rest of its credit back.
    #[must_use]
    pub fn is_draining(&self, id: LinkId) -> bool {
        let link = self.sessions.get(&id.channel).and_then(|session| session.links.get(&id.handle));
        matches!(link.map(|link| &link.side), Some(Side::Sending(sending)) if sending.drain)
    }

    /// Gives the rest of a draining link's credit back: there is nothing more to send.
    pub fn drained(&mut self, id: LinkId) {
        if let Some(Side::Sending(sending)) = self.side(id)
            && sending.drain
        {
            sending.delivery_count = sending.delivery_count.wrapping_add(sending.credit);
            sending.credit = 0;
            self.put_link_flow(id);
            if let Some(Side::Sending(sending)) = self.side(id) {
                sending.drain = false;
            }
        }
    }

    /// Gives a receiving link as much credit as it may have, when that is worth a frame.
    pub(super) fn replenish(&mut self, id: LinkId) {
        if let Some(Side::Receiving(receiving)) = self.side(id) {
            let room = receiving.credit_max.saturating_sub(receiving.unsettled);
            if receiving.credit <= receiving.credit_max / 2 && receiving.credit < room {
                receiving.credit = room;
                self.put_link_flow(id);
            }
        }
    }

    fn put_link_flow(&mut self, id: LinkId) {
        let Some(session) = self.sessions.get(&id.channel) else { return };
        let Some(link) = session.links.get(&id.handle) else { return };
        let (count, credit, drain) = match &link.side {
            Side::Receiving(receiving) => (receiving.delivery_count, receiving.credit, false),
            Side::Sending(sending) => (sending.delivery_count, sending.credit, sending.drain),
            Side::Ended => return,
        };
        let flow = Flow {
            handle: Some(id.handle),
            delivery_count: Some(count),
            link_credit: Some(credit),
            available: Some(0),
            drain,
            ..session.flow()
        };
        frame::put_performative(&mut self.output, id.channel, &Performative::Flow(flow));
    }
}

fn answer(asked: &Attach, accepted: &Accepted) -> Attach {
    Attach {
        name: asked.name.clone(),
        handle: asked.handle,
        role: asked.role.opposite(),
        snd_settle_mode: accepted.snd_settle_mode,
        rcv_settle_mode: 0,
        source: None,
        target: None,
        unsettled: None,
        incomplete_unsettled: false,
        initial_delivery_count: Some(0),
        max_message_size: Some(accepted.message_bytes_max),
        offered_capabilities: accepted.capabilities.clone(),
        desired_capabilities: Vec::new(),
        properties: accepted.properties.clone(),
    }
}

pub(super) fn unattached(handle: u32) -> AmqpError {
    AmqpError::new(condition::UNATTACHED_HANDLE, format!("handle {handle} has no link"))
}
