//! What goes: deliveries cut into frames that the peer takes, as far as its window reaches.

use bytes::{Bytes, BytesMut};

use super::link::Side;
use super::{Connection, LinkId};
use crate::codec::performative::{Performative, Transfer};
use crate::frame::{self, Kind};

/// Bytes of a transfer's frame besides the payload: the head, and all fields in their longest form.
const TRANSFER_BYTES: usize = 48;

impl Connection {
    /// Sends a delivery, settled, whose message is these parts one after the other. Gives `false` and sends nothing when
    /// the link has no credit: ask [`Connection::credit`] first.
    pub fn send(&mut self, id: LinkId, parts: &[&[u8]]) -> bool {
        if self.credit(id) == 0 {
            return false;
        }
        let room = self.peer.frame_bytes_max - TRANSFER_BYTES;
        let Some(session) = self.sessions.get_mut(&id.channel) else { return false };
        let Some(Side::Sending(sending)) = session.links.get_mut(&id.handle).map(|link| &mut link.side) else {
            return false;
        };
        sending.credit -= 1;
        sending.delivery_count = sending.delivery_count.wrapping_add(1);
        let delivery = session.next_delivery;
        session.next_delivery = delivery.wrapping_add(1);
        let mut left: usize = parts.iter().map(|part| part.len()).sum();
        let mut parts = Parts { parts, within: 0 };
        let mut first = true;
        loop {
            let piece = left.min(room);
            left -= piece;
            let transfer = Transfer {
                handle: id.handle,
                delivery_id: Some(delivery),
                delivery_tag: first.then(|| Bytes::copy_from_slice(&delivery.to_be_bytes())),
                message_format: first.then_some(0),
                settled: Some(true),
                more: left > 0,
                batchable: true,
                ..Transfer::default()
            };
            let put = |out: &mut BytesMut| {
                frame::put(out, Kind::Amqp, id.channel, |out| {
                    Performative::Transfer(transfer).encode(out);
                    parts.put(out, piece);
                });
            };
            if session.remote_window > 0 && session.waiting.is_empty() {
                put(&mut self.output);
                session.remote_window -= 1;
                session.next_outgoing = session.next_outgoing.wrapping_add(1);
            } else {
                let mut waiting = BytesMut::new();
                put(&mut waiting);
                session.waiting.push_back(waiting.freeze());
                session.waiting_handle = id.handle;
            }
            first = false;
            if left == 0 {
                return true;
            }
        }
    }
}

/// What is left of a message's parts.
struct Parts<'p> {
    parts: &'p [&'p [u8]],
    within: usize,
}

impl Parts<'_> {
    fn put(&mut self, out: &mut BytesMut, mut bytes: usize) {
        while bytes > 0
            && let Some((part, others)) = self.parts.split_first()
        {
            let piece = &part[self.within..];
            let piece = &piece[..piece.len().min(bytes)];
            out.extend_from_slice(piece);
            bytes -= piece.len();
            self.within += piece.len();
            if self.within == part.len() {
                self.parts = others;
                self.within = 0;
            }
        }
    }
}
