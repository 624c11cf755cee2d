//! A connection fed by hand, frame by frame, as a client would.

use bytes::BufMut as _;
use proptest::prelude::*;

use super::*;
use crate::codec::Value;
use crate::codec::performative::{Begin, DeliveryState, Flow, Open, Role, Transfer};
use crate::frame::{AMQP_HEADER, Kind, SASL_HEADER, put_performative};

pub const OPTIONS: Options = Options {
    container_id: String::new(),
    mechanisms: &["ANONYMOUS"],
    welcome: b"hello",
    frame_bytes_max: 1_024,
    channel_max: 3,
    handle_max: 3,
    links_max: 6,
    incoming_window: 10,
    partial_bytes_max: 3_000,
    handshake_ms: 1_000,
    idle_ms: 10_000,
};
const LINK: LinkId = LinkId { channel: 0, handle: 0 };

/// A server's connection, and the client in front of it.
struct World {
    server: Connection,
    input: BytesMut,
}

impl World {
    fn new() -> Self {
        Self { server: Connection::new(OPTIONS, 0), input: BytesMut::new() }
    }

    /// Up to an open session on channel 0.
    fn begun() -> Self {
        let mut world = Self::new();
        world.input.extend_from_slice(&AMQP_HEADER);
        world.send(0, Performative::Open(open()));
        world.send(0, Performative::Begin(begin(100)));
        assert!(matches!(world.event(), Some(Event::Opened { .. })));
        assert_eq!(world.event(), None);
        world.frames();
        world
    }

    /// Up to a link.
    fn attached(role: Role) -> Self {
        let mut world = Self::begun();
        world.send(0, Performative::Attach(Box::new(attach(role))));
        assert!(matches!(world.event(), Some(Event::Attach(LINK, _))));
        world.server.accept(LINK, accepted());
        world.frames();
        world
    }

    fn send(&mut self, channel: u16, performative: Performative) {
        put_performative(&mut self.input, channel, &performative);
    }

    fn transfer(&mut self, transfer: Transfer, payload: &[u8]) {
        frame::put(&mut self.input, Kind::Amqp, 0, |out| {
            Performative::Transfer(transfer).encode(out);
            out.put_slice(payload);
        });
    }

    fn event(&mut self) -> Option<Event> {
        self.server.next_event(&mut self.input, 0)
    }

    /// What the server says, with the payloads' lengths.
    fn frames(&mut self) -> Vec<(u16, Performative, usize)> {
        let mut output = self.server.output().split();
        if output.starts_with(&AMQP_HEADER) {
            let _ = output.split_to(8);
        }
        let mut frames = Vec::new();
        while let Some(frame) = frame::take(&mut output, 1 << 20).unwrap() {
            if !frame.body.is_empty() {
                let (performative, payload) = Performative::decode(frame.body).unwrap();
                frames.push((frame.channel, performative, payload.len()));
            }
        }
        frames
    }

    /// The condition of the error with which the server ends something.
    fn error(&mut self) -> String {
        while self.event().is_some() {}
        let error = self.frames().into_iter().rev().find_map(|(_, performative, _)| match performative {
            Performative::Close(error) | Performative::End(error) => error,
            Performative::Detach(detach) => detach.error,
            _ => None,
        });
        error.expect("an end with an error").condition.to_string()
    }
}

pub fn open() -> Open {
    Open { container_id: "c".into(), hostname: None, max_frame_size: 600, channel_max: 9, idle_time_out: Some(4_000) }
}

pub fn begin(incoming_window: u32) -> Begin {
    Begin { remote_channel: None, next_outgoing_id: 0, incoming_window, outgoing_window: 100, handle_max: 9 }
}

pub fn attach(role: Role) -> Attach {
    Attach {
        name: "link".into(),
        handle: 0,
        role,
        snd_settle_mode: 2,
        rcv_settle_mode: 0,
        source: None,
        target: None,
        unsettled: None,
        incomplete_unsettled: false,
        initial_delivery_count: Some(0),
        max_message_size: None,
        offered_capabilities: Vec::new(),
        desired_capabilities: Vec::new(),
        properties: Value::Null,
    }
}

pub fn accepted() -> Accepted {
    Accepted {
        snd_settle_mode: 1,
        message_bytes_max: 2_000,
        credit: 4,
        capabilities: Vec::new(),
        properties: Value::Null,
    }
}

pub fn piece(id: u32, more: bool) -> Transfer {
    Transfer { delivery_id: Some(id), delivery_tag: Some(Bytes::from_static(b"t")), more, ..Transfer::default() }
}

#[test]
fn the_security_layer_comes_first_when_asked_for() {
    let mut world = World::new();
    world.input.extend_from_slice(&SASL_HEADER);
    assert_eq!(world.event(), None);
    assert!(world.server.output().starts_with(&SASL_HEADER));
    frame::put(&mut world.input, Kind::Sasl, 0, |out| {
        crate::codec::fields::FieldWriter::begin(out, 0x41)
            .symbol(Some("ANONYMOUS"))
            .binary(Some(b"me"))
            .nulls(1)
            .end();
    });
    world.input.extend_from_slice(&AMQP_HEADER);
    world.send(0, Performative::Open(open()));
    let opened = world.event();
    let security = Some(("ANONYMOUS".into(), Bytes::from_static(b"me")));
    assert_eq!(opened, Some(Event::Opened { hostname: None, security }));
}

#[test]
fn what_is_no_amqp_is_answered_with_what_is_spoken() {
    let mut world = World::new();
    world.input.extend_from_slice(b"GET / HTTP/1.1\r\n");
    assert_eq!(world.event(), None);
    assert!(world.server.is_closed());
    assert_eq!(world.server.output()[..], SASL_HEADER);
}

#[test]
fn deliveries_come_whole_and_are_settled_in_runs() {
    let mut world = World::attached(Role::Sender);
    world.transfer(piece(0, true), b"ab");
    world.transfer(Transfer { more: false, ..Transfer::default() }, b"cd");
    world.transfer(piece(1, false), b"e");
    world.transfer(Transfer { settled: Some(true), ..piece(2, false) }, b"f");
    let mut messages = Vec::new();
    while let Some(Event::Delivery(delivery)) = world.event() {
        world.server.settle(delivery.link, delivery.id, delivery.settled, None);
        messages.push(delivery.message);
    }
    assert_eq!(messages, ["abcd", "e", "f"]);
    let frames = world.frames();
    let dispositions: Vec<_> = frames
        .iter()
        .filter_map(|(_, performative, _)| match performative {
            Performative::Disposition(found) => Some((found.first, found.last, found.state.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(dispositions, [(0, Some(1), Some(DeliveryState::Accepted))]);
    let credit = frames.iter().rev().find_map(|(_, performative, _)| match performative {
        Performative::Flow(flow) => flow.link_credit,
        _ => None,
    });
    assert_eq!(credit, Some(4), "settled deliveries make room");
}

#[test]
fn credit_is_not_given_while_deliveries_wait() {
    let mut world = World::attached(Role::Sender);
    for id in 0..4 {
        world.transfer(piece(id, false), b"x");
        assert!(matches!(world.event(), Some(Event::Delivery(_))));
    }
    assert!(
        !world.frames().iter().any(|(_, frame, _)| matches!(frame, Performative::Flow(flow) if flow.handle.is_some()))
    );
    world.transfer(piece(4, false), b"x");
    assert_eq!(world.error(), condition::TRANSFER_LIMIT_EXCEEDED);
}

#[test]
fn a_delivery_is_cut_at_the_peers_frame_size_and_window() {
    let mut world = World::attached(Role::Receiver);
    world.send(
        0,
        Performative::Flow(Flow {
            next_incoming_id: Some(1),
            incoming_window: 2,
            handle: Some(0),
            link_credit: Some(5),
            ..Flow::default()
        }),
    );
    assert_eq!(world.event(), Some(Event::Credit(LINK)));
    assert_eq!(world.server.credit(LINK), 5);
    assert!(world.server.send(LINK, &[&[1; 1_000], &[2; 500]]));
    assert_eq!(world.server.credit(LINK), 0, "the rest waits for the window");
    let sent: Vec<usize> = world.frames().iter().map(|(_, _, payload)| *payload).collect();
    assert_eq!(sent, [552, 552]);
    world.send(0, Performative::Flow(Flow { next_incoming_id: Some(3), incoming_window: 2, ..Flow::default() }));
    assert_eq!(world.event(), None);
    let rest = world.frames();
    assert!(matches!(&rest[..], [(0, Performative::Transfer(last), 396)] if !last.more));
    assert_eq!(world.server.credit(LINK), 4);
}

#[test]
fn a_drained_link_gives_its_credit_back() {
    let mut world = World::attached(Role::Receiver);
    let flow = Flow { incoming_window: 9, handle: Some(0), link_credit: Some(3), drain: true, ..Flow::default() };
    world.send(0, Performative::Flow(flow));
    assert_eq!(world.event(), Some(Event::Credit(LINK)));
    assert!(world.server.is_draining(LINK));
    assert!(world.server.send(LINK, &[b"last"]));
    world.server.drained(LINK);
    let Some((_, Performative::Flow(answer), _)) = world.frames().pop() else { panic!("expected a flow") };
    assert_eq!((answer.delivery_count, answer.link_credit, answer.drain), (Some(3), Some(0), true));
    assert!(!world.server.is_draining(LINK));
}

#[test]
fn a_refused_link_is_attached_without_its_end_and_detached() {
    let mut world = World::begun();
    world.send(0, Performative::Attach(Box::new(attach(Role::Receiver))));
    assert!(matches!(world.event(), Some(Event::Attach(..))));
    world.server.refuse(LINK, AmqpError::new(condition::NOT_FOUND, "no"));
    let frames = world.frames();
    assert!(matches!(&frames[0].1, Performative::Attach(answer) if answer.source.is_none()));
    assert!(matches!(&frames[1].1, Performative::Detach(detach) if detach.closed && detach.error.is_some()));
    // What was under way is passed over until the peer has heard.
    world.send(0, Performative::Flow(Flow { handle: Some(0), ..Flow::default() }));
    world.send(0, Performative::Detach(Detach { handle: 0, closed: true, error: None }));
    world.send(0, Performative::Attach(Box::new(attach(Role::Receiver))));
    assert!(matches!(world.event(), Some(Event::Attach(..))));
}

#[test]
fn mistakes_end_what_they_happened_on() {
    type Mistake = (&'static str, fn(&mut World));
    let mistakes: &[Mistake] = &[
        (condition::DECODE_ERROR, |world| frame::put(&mut world.input, Kind::Amqp, 0, |out| out.put_slice(b"junk"))),
        (condition::FRAMING_ERROR, |world| world.input.put_slice(&[0xff; 8])),
        (condition::NOT_ALLOWED, |world| world.send(0, Performative::Open(open()))),
        (condition::NOT_ALLOWED, |world| world.send(0, Performative::Begin(begin(1)))),
        (condition::NOT_ALLOWED, |world| world.send(4, Performative::Begin(begin(1)))),
        (condition::NOT_ALLOWED, |world| world.send(2, Performative::End(None))),
        (condition::HANDLE_IN_USE, |world| world.send(0, Performative::Attach(Box::new(attach(Role::Sender))))),
        (condition::FRAMING_ERROR, |world| {
            world.send(0, Performative::Attach(Box::new(Attach { handle: 4, ..attach(Role::Sender) })));
        }),
        (condition::UNATTACHED_HANDLE, |world| world.transfer(Transfer { handle: 2, ..piece(0, false) }, b"")),
        (condition::UNATTACHED_HANDLE, |world| {
            world.send(0, Performative::Detach(Detach { handle: 2, closed: true, error: None }));
        }),
        (condition::INVALID_FIELD, |world| world.transfer(Transfer::default(), b"")),
        (condition::NOT_ALLOWED, |world| {
            world.transfer(piece(0, true), b"");
            world.transfer(piece(1, false), b"");
        }),
        (condition::MESSAGE_SIZE_EXCEEDED, |world| {
            for _ in 0..3 {
                world.transfer(piece(0, true), &[0; 900]);
            }
        }),
    ];
    for (condition, mistake) in mistakes {
        let mut world = World::attached(Role::Sender);
        mistake(&mut world);
        assert_eq!(world.error(), *condition);
    }
}

#[test]
fn deliveries_in_part_are_bounded_over_all_links() {
    let mut world = World::attached(Role::Sender);
    for handle in 1..3 {
        world.send(0, Performative::Attach(Box::new(Attach { handle, ..attach(Role::Sender) })));
        let Some(Event::Attach(id, _)) = world.event() else { panic!("expected a link") };
        world.server.accept(id, accepted());
    }
    for handle in 0..3 {
        for _ in 0..2 {
            world.transfer(Transfer { handle, ..piece(handle, true) }, &[0; 900]);
        }
    }
    assert_eq!(world.error(), condition::RESOURCE_LIMIT_EXCEEDED);
    assert!(world.server.is_closed());
}

#[test]
fn time_keeps_alive_and_ends() {
    let mut world = World::new();
    assert_eq!(world.server.deadline(), 1_000);
    world.server.tick(1_000);
    assert!(world.server.is_closed(), "no Open came");

    let mut world = World::begun();
    assert_eq!(world.server.deadline(), 2_000, "half of the peer's own time");
    world.server.tick(2_000);
    assert_eq!(world.server.output().split()[..], [0, 0, 0, 8, 2, 0, 0, 0]);
    world.server.sent(19_000);
    world.server.tick(20_000);
    assert_eq!(world.error(), condition::RESOURCE_LIMIT_EXCEEDED);
}

#[test]
fn a_close_is_answered_and_tells_of_its_links() {
    let mut world = World::attached(Role::Sender);
    world.send(0, Performative::Close(None));
    assert_eq!(world.event(), Some(Event::Detached(LINK)));
    assert_eq!(world.event(), None);
    assert!(world.server.is_closed());
    assert!(matches!(world.frames().pop(), Some((0, Performative::Close(None), 0))));
}

proptest! {
    #[test]
    fn any_bytes_leave_a_connection_in_order(
        begun in any::<bool>(), chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6),
    ) {
        let mut world = if begun { World::attached(Role::Sender) } else { World::new() };
        for chunk in chunks {
            world.input.extend_from_slice(&chunk);
            while world.event().is_some() {}
        }
        let _ = world.server.output();
    }

    #[test]
    fn frames_in_any_order_leave_a_connection_in_order(
        steps in prop::collection::vec((0u8..7, 0u16..5, 0u32..5, any::<bool>()), 0..60),
    ) {
        let mut world = World::begun();
        for (step, channel, handle, flag) in steps {
            let role = if flag { Role::Sender } else { Role::Receiver };
            let performative = match step {
                0 => Performative::Begin(begin(handle)),
                1 => Performative::Attach(Box::new(Attach { handle, ..attach(role) })),
                2 => Performative::Flow(Flow { handle: Some(handle), link_credit: Some(2), drain: flag, ..Flow::default() }),
                3 => Performative::Detach(Detach { handle, closed: flag, error: None }),
                4 => Performative::End(None),
                _ => Performative::Transfer(Transfer { handle, ..piece(handle, flag) }),
            };
            world.send(channel, performative);
            while let Some(event) = world.event() {
                match event {
                    Event::Attach(id, _) if handle == 1 => world.server.refuse(id, AmqpError::new(condition::NOT_FOUND, "")),
                    Event::Attach(id, _) => world.server.accept(id, accepted()),
                    Event::Delivery(delivery) => world.server.settle(delivery.link, delivery.id, delivery.settled, None),
                    Event::Credit(id) => {
                        while world.server.send(id, &[b"event"]) {}
                        world.server.drained(id);
                    }
                    Event::Opened { .. } | Event::Detached(_) => {}
                }
            }
            world.frames();
        }
    }
}
