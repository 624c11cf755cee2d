//! From the first byte to the Open: protocol headers, the security layer, what both ends agree on (part 2.2, 2.4 and 5.3).

use bytes::{Buf as _, BytesMut};

use super::{Connection, Event};
use crate::codec::Text;
use crate::codec::performative::{Open, Performative};
use crate::condition;
use crate::error::AmqpError;
use crate::frame::{self, AMQP_HEADER, FRAME_BYTES_MIN, Kind, SASL_HEADER, SaslInit};

/// Bytes of the largest frame that is written: larger ones would only wait longer in each other's way.
const FRAME_BYTES_WRITTEN_MAX: u32 = 1 << 16;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Either protocol header may come.
    Header,
    /// The choice of a mechanism is to come.
    SaslInit,
    /// The AMQP header is to come, behind the security layer.
    AmqpHeader,
    /// The Open is to come.
    AwaitOpen,
    /// Frames of sessions come and go.
    Open,
    /// Nothing comes or goes any more.
    Closed,
}

impl Connection {
    /// Takes one header or frame; gives whether there was a whole one.
    pub(super) fn advance(&mut self, input: &mut BytesMut) -> Result<bool, AmqpError> {
        match self.phase {
            Phase::Header | Phase::AmqpHeader => self.header(input),
            Phase::Closed => Ok(false),
            Phase::SaslInit | Phase::AwaitOpen | Phase::Open => {
                let limit =
                    if self.phase == Phase::SaslInit { FRAME_BYTES_MIN * 8 } else { self.options.frame_bytes_max };
                let Some(frame) = frame::take(input, limit)? else { return Ok(false) };
                match (self.phase, frame.kind) {
                    (Phase::SaslInit, Kind::Sasl) => self.mechanism(SaslInit::decode(frame.body)?)?,
                    (Phase::SaslInit, Kind::Amqp) | (_, Kind::Sasl) => {
                        let text = "expected frames of the security layer before the AMQP header and none behind it";
                        return Err(AmqpError::new(condition::FRAMING_ERROR, text));
                    }
                    // It only says that the peer is there.
                    (_, Kind::Amqp) if frame.body.is_empty() => {}
                    (Phase::AwaitOpen, Kind::Amqp) => match Performative::decode(frame.body)?.0 {
                        Performative::Open(open) => self.opened(&open)?,
                        other => {
                            let text = format!("expected an Open, found {other:?}");
                            return Err(AmqpError::new(condition::NOT_ALLOWED, text));
                        }
                    },
                    (_, Kind::Amqp) => self.frame(frame.channel, frame.body)?,
                }
                Ok(true)
            }
        }
    }

    fn header(&mut self, input: &mut BytesMut) -> Result<bool, AmqpError> {
        let Some(&header) = input.first_chunk::<8>() else { return Ok(false) };
        input.advance(8);
        match (self.phase, header) {
            (Phase::Header, SASL_HEADER) => {
                self.output.extend_from_slice(&SASL_HEADER);
                frame::put_mechanisms(&mut self.output, self.options.mechanisms);
                self.phase = Phase::SaslInit;
            }
            (_, AMQP_HEADER) => {
                self.output.extend_from_slice(&AMQP_HEADER);
                self.phase = Phase::AwaitOpen;
            }
            _ => return Err(AmqpError::new(condition::NOT_IMPLEMENTED, "expected AMQP 1.0")),
        }
        Ok(true)
    }

    fn mechanism(&mut self, init: SaslInit) -> Result<(), AmqpError> {
        if !self.options.mechanisms.iter().any(|name| init.mechanism == *name) {
            let text = format!("expected one of the mechanisms offered, found `{}`", init.mechanism);
            return Err(AmqpError::new(condition::UNAUTHORIZED_ACCESS, text));
        }
        frame::put_outcome(&mut self.output, 0, Some(self.options.welcome));
        self.security = Some((init.mechanism, init.response));
        self.phase = Phase::AmqpHeader;
        Ok(())
    }

    fn opened(&mut self, open: &Open) -> Result<(), AmqpError> {
        if open.max_frame_size < FRAME_BYTES_MIN {
            let text =
                format!("expected a max-frame-size of at least {FRAME_BYTES_MIN}, found {}", open.max_frame_size);
            return Err(AmqpError::new(condition::FRAME_SIZE_TOO_SMALL, text));
        }
        self.peer.frame_bytes_max = open.max_frame_size.min(FRAME_BYTES_WRITTEN_MAX) as usize;
        self.peer.channel_max = open.channel_max;
        self.peer.idle_ms = open.idle_time_out;
        self.put_open();
        self.phase = Phase::Open;
        self.events.push_back(Event::Opened { hostname: open.hostname.clone(), security: self.security.take() });
        Ok(())
    }

    pub(super) fn put_open(&mut self) {
        let open = Open {
            container_id: Text::from(self.options.container_id.clone()),
            hostname: None,
            max_frame_size: self.options.frame_bytes_max,
            channel_max: self.options.channel_max,
            idle_time_out: Some(self.options.idle_ms),
        };
        frame::put_performative(&mut self.output, 0, &Performative::Open(open));
    }
}
