//! What comes: frames to where they belong, transfers to deliveries.

use bytes::{Bytes, BytesMut};

use super::link::{Partial, Receiving, Side, unattached};
use super::session::no_session;
use super::{Connection, Delivery, Event, LinkId, Settlement};
use crate::codec::performative::{DeliveryState, Disposition, Performative, Role, Transfer};
use crate::condition;
use crate::error::AmqpError;
use crate::frame;

impl Connection {
    pub(super) fn frame(&mut self, channel: u16, body: Bytes) -> Result<(), AmqpError> {
        let (performative, payload) = Performative::decode(body)?;
        match performative {
            Performative::Open(_) => Err(AmqpError::new(condition::NOT_ALLOWED, "the connection is open already")),
            Performative::Begin(begin) => self.begin(channel, &begin),
            Performative::Attach(attach) => self.attach(channel, attach),
            Performative::Flow(flow) => self.flow(channel, &flow),
            Performative::Transfer(transfer) => self.transfer(channel, &transfer, payload),
            // What this side sends is settled, so nobody waits for the peer's words on it.
            Performative::Disposition(_) if self.sessions.contains_key(&channel) => Ok(()),
            Performative::Disposition(_) => Err(no_session(channel)),
            Performative::Detach(detach) => self.detached(channel, &detach),
            Performative::End(_) => self.end(channel),
            Performative::Close(_) => {
                self.close(None);
                Ok(())
            }
        }
    }

    fn transfer(&mut self, channel: u16, transfer: &Transfer, payload: Bytes) -> Result<(), AmqpError> {
        let Some(session) = self.sessions.get_mut(&channel) else { return Err(no_session(channel)) };
        if session.ended {
            return Ok(());
        }
        if session.incoming_window == 0 {
            let text = format!("expected at most {} transfers at once", self.options.incoming_window);
            self.end_session(channel, AmqpError::new(condition::WINDOW_VIOLATION, text));
            return Ok(());
        }
        session.incoming_window -= 1;
        session.next_incoming = session.next_incoming.wrapping_add(1);
        let low = session.incoming_window <= self.options.incoming_window / 2;
        let id = LinkId { channel, handle: transfer.handle };
        match session.links.get_mut(&transfer.handle).map(|link| &mut link.side) {
            None | Some(Side::Sending(_)) => {
                self.end_session(channel, unattached(transfer.handle));
                return Ok(());
            }
            Some(Side::Ended) => {}
            Some(Side::Receiving(receiving)) => {
                let held = receiving.partial.as_ref().map_or(0, |partial| partial.bytes.len());
                let taken = receiving.take(id, transfer, payload);
                let holds = receiving.partial.as_ref().map_or(0, |partial| partial.bytes.len());
                self.partial_bytes = self.partial_bytes + holds - held;
                match taken {
                    Ok(Some(delivery)) => self.events.push_back(Event::Delivery(delivery)),
                    Ok(None) => {}
                    Err(error) => {
                        self.detach(id, Some(error));
                        // The caller did not ask for this end.
                        self.events.push_back(Event::Detached(id));
                    }
                }
                if self.partial_bytes > self.options.partial_bytes_max {
                    let text = format!("expected at most {} bytes in part", self.options.partial_bytes_max);
                    return Err(AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, text));
                }
            }
        }
        if low {
            self.put_session_flow(channel);
        }
        Ok(())
    }

    /// Says what became of a delivery: taken, or refused with an error; makes room for another.
    pub fn settle(&mut self, link: LinkId, delivery: u32, settled: bool, refused: Option<AmqpError>) {
        if let Some(Side::Receiving(receiving)) = self.side(link) {
            receiving.unsettled = receiving.unsettled.saturating_sub(1);
            if !settled {
                self.settlements.push(Settlement { channel: link.channel, delivery, refused });
            }
            self.replenish(link);
        }
    }

    /// Tells the outcomes that wait, one frame for each run of neighbours with the same.
    pub(super) fn flush_settlements(&mut self) {
        let mut settlements = std::mem::take(&mut self.settlements);
        let mut rest = settlements.drain(..).peekable();
        while let Some(first) = rest.next() {
            let mut last = first.delivery;
            while let Some(next) = rest.next_if(|next| {
                next.channel == first.channel && next.delivery == last.wrapping_add(1) && next.refused == first.refused
            }) {
                last = next.delivery;
            }
            let state = match first.refused {
                None => DeliveryState::Accepted,
                Some(error) => DeliveryState::Rejected(Some(error)),
            };
            let disposition = Disposition {
                role: Role::Receiver,
                first: first.delivery,
                last: Some(last),
                settled: true,
                state: Some(state),
                batchable: false,
            };
            frame::put_performative(&mut self.output, first.channel, &Performative::Disposition(disposition));
        }
        drop(rest);
        self.settlements = settlements;
    }
}

impl Receiving {
    /// Adds a transfer to its delivery, and gives the delivery when it is whole.
    fn take(&mut self, link: LinkId, transfer: &Transfer, payload: Bytes) -> Result<Option<Delivery>, AmqpError> {
        let mut partial = match self.partial.take() {
            Some(partial) => partial,
            None => self.first_piece(transfer)?,
        };
        if transfer.delivery_id.is_some_and(|id| id != partial.id) {
            let text = format!("expected the rest of delivery {} before another", partial.id);
            return Err(AmqpError::new(condition::NOT_ALLOWED, text));
        }
        if transfer.aborted {
            self.unsettled = self.unsettled.saturating_sub(1);
            return Ok(None);
        }
        if partial.bytes.len() + payload.len() > self.message_bytes_max {
            return Err(AmqpError::new(
                condition::MESSAGE_SIZE_EXCEEDED,
                format!(
                    "The received message (delivery-id:{}, size:{} bytes) exceeds the limit ({} bytes) currently allowed on the link.",
                    partial.id,
                    partial.bytes.len() + payload.len(),
                    self.message_bytes_max
                ),
            ));
        }
        partial.settled |= transfer.settled.unwrap_or(false);
        if transfer.more {
            partial.bytes.extend_from_slice(&payload);
            self.partial = Some(partial);
            return Ok(None);
        }
        let Partial { id, format, settled, mut bytes } = partial;
        // A delivery of one piece stays where it came.
        let message = if bytes.is_empty() {
            payload
        } else {
            bytes.extend_from_slice(&payload);
            bytes.freeze()
        };
        Ok(Some(Delivery { link, id, settled, format, message }))
    }

    fn first_piece(&mut self, transfer: &Transfer) -> Result<Partial, AmqpError> {
        let Some(credit) = self.credit.checked_sub(1) else {
            let text = "expected no delivery: the link has no credit left";
            return Err(AmqpError::new(condition::TRANSFER_LIMIT_EXCEEDED, text));
        };
        if transfer.resume {
            return Err(AmqpError::new(condition::NOT_IMPLEMENTED, "deliveries are not resumed here"));
        }
        let Some(id) = transfer.delivery_id else {
            return Err(AmqpError::new(condition::INVALID_FIELD, "expected a delivery-id on a delivery's first piece"));
        };
        self.credit = credit;
        self.delivery_count = self.delivery_count.wrapping_add(1);
        self.unsettled += 1;
        let format = transfer.message_format.unwrap_or(0);
        Ok(Partial { id, format, settled: false, bytes: BytesMut::new() })
    }
}
