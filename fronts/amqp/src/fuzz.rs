//! Decoders and connections under changed bytes: no panic, no memory that the bytes do not pay for, and what is decoded is
//! encoded and decoded the same. See `millstream_fuzz`.

use bytes::{BufMut as _, Bytes, BytesMut};
use millstream_fuzz::{Memory, Target, as_it_is};

use crate::codec::decode::{self, Reader};
use crate::codec::encode::put_value;
use crate::codec::performative::tests::all;
use crate::codec::performative::{self, Performative, Role, Source};
use crate::codec::{Array, Text, Value};
use crate::connection::tests::{OPTIONS, accepted, attach, begin, open, piece};
use crate::connection::{Connection, Event};
use crate::error::AmqpError;
use crate::frame::{self, AMQP_HEADER, Kind, SASL_HEADER, SaslInit};
use crate::message::{SectionKind, put_section, sections};

/// A byte of input may become a value with two boxes, in lists that grow by doubling.
const MEMORY: Memory = Memory { fixed: 128 << 10, per_byte: 512 };

fn encoded(write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut out);
    out.to_vec()
}

fn values() -> Vec<Value> {
    let texts = ["a", "text of some length", "\u{1f980}"].map(Text::from);
    let mut values = vec![
        Value::Null,
        Value::Bool(true),
        Value::Ubyte(7),
        Value::Short(-7),
        Value::Uint(70_000),
        Value::Ulong(u64::MAX),
        Value::Double(1.5),
        Value::Decimal128([7; 16]),
        Value::Char('\u{1f980}'),
        Value::Timestamp(1_700_000_000_000),
        Value::Uuid([9; 16]),
        Value::Binary(Bytes::from(vec![1; 300])),
        Value::Array(Array::symbols(texts.clone())),
        Value::Array(Array::new(vec![Value::Array(Array::symbols(texts.clone())); 2]).unwrap_or_default()),
    ];
    values.extend(texts.map(Value::String));
    values.push(Value::Map(values.iter().map(|value| (Value::symbol("key"), value.clone())).collect()));
    values.push(Value::Described(Value::symbol("filter").into(), Value::List(values.clone()).into()));
    values
}

#[test]
fn values_and_what_they_are_encoded_as() {
    let corpus: Vec<Vec<u8>> = values().iter().map(|value| encoded(|out| put_value(out, value))).collect();
    let target = Target { name: "AMQP values", corpus: &corpus, mend: as_it_is, memory: MEMORY, rounds: 40_000 };
    target.run(|input| {
        let input = Bytes::copy_from_slice(input);
        let length = decode::length(&input);
        let mut reader = Reader::new(input.clone());
        let Ok(value) = reader.value() else { return };
        assert_eq!(length, Ok(input.len() - reader.rest().len()));
        let once = encoded(|out| put_value(out, &value));
        let mut again = Reader::new(Bytes::from(once.clone()));
        // Compared as bytes: a number may be none, which equals nothing.
        let value = again.value().unwrap_or_else(|error| panic!("{value:?} became {once:02x?}: {error}"));
        assert!(again.rest().is_empty());
        assert_eq!(encoded(|out| put_value(out, &value)), once);
    });
}

#[test]
fn performatives_and_the_ends_of_links() {
    let mut corpus: Vec<Vec<u8>> = all().iter().map(|performative| encoded(|out| performative.encode(out))).collect();
    corpus.push(encoded(|out| {
        out.put_slice(&[0, 0x53, 0x41, 0xc0, 18, 2, 0xa3, 5]);
        out.put_slice(b"PLAIN\xa0\x08\0user\0pw");
    }));
    let target = Target { name: "AMQP performatives", corpus: &corpus, mend: as_it_is, memory: MEMORY, rounds: 40_000 };
    target.run(|input| {
        let input = Bytes::copy_from_slice(input);
        let _ = SaslInit::decode(input.clone());
        let Ok((performative, _)) = Performative::decode(input) else { return };
        if let Performative::Attach(attach) = &performative {
            let _ = (Source::decode(attach.source.clone()), performative::Target::decode(attach.target.clone()));
        }
        let once = encoded(|out| performative.encode(out));
        let (again, rest) = Performative::decode(Bytes::from(once.clone())).unwrap();
        assert!(rest.is_empty());
        assert_eq!(encoded(|out| again.encode(out)), once);
    });
}

#[test]
fn messages() {
    let corpus = [encoded(|out| {
        put_section(out, SectionKind::Header, &Value::List(vec![Value::Bool(true)]));
        put_section(out, SectionKind::MessageAnnotations, &Value::Map(vec![(Value::symbol("key"), Value::Int(7))]));
        put_section(out, SectionKind::Properties, &Value::List(vec![Value::string("id"), Value::Null]));
        put_section(out, SectionKind::Data, &Value::Binary(Bytes::from_static(b"body")));
        put_section(out, SectionKind::AmqpValue, &Value::List(values()));
    })];
    let target = Target { name: "AMQP messages", corpus: &corpus, mend: as_it_is, memory: MEMORY, rounds: 10_000 };
    target.run(|input| {
        let found: Vec<_> = sections(Bytes::copy_from_slice(input)).map_while(Result::ok).collect();
        let raw: Vec<u8> = found.iter().flat_map(|section| section.raw.to_vec()).collect();
        assert!(input.starts_with(&raw), "sections are the message's own bytes, one behind the other");
        found.iter().for_each(|section| drop(section.value()));
    });
}

/// What a client says from the first byte on: both roles, deliveries in pieces, the ends of all.
fn session(secured: bool) -> Vec<u8> {
    encoded(|out| {
        if secured {
            out.put_slice(&SASL_HEADER);
            frame::put(out, Kind::Sasl, 0, |out| out.put_slice(b"\0\x53\x41\xc0\x0c\x01\xa3\x09ANONYMOUS"));
        }
        out.put_slice(&AMQP_HEADER);
        let mut say = |performative, payload: &[u8]| {
            frame::put(out, Kind::Amqp, 0, |out| {
                Performative::encode(&performative, out);
                out.put_slice(payload);
            });
        };
        say(Performative::Open(open()), b"");
        say(Performative::Begin(begin(100)), b"");
        for (handle, role) in [(0, Role::Sender), (1, Role::Receiver)] {
            say(Performative::Attach(Box::new(performative::Attach { handle, ..attach(role) })), b"");
        }
        say(Performative::Transfer(piece(0, true)), b"one ");
        say(Performative::Transfer(piece(0, false)), b"event");
        let flow = performative::Flow { handle: Some(1), link_credit: Some(5), drain: true, ..Default::default() };
        say(Performative::Flow(flow), b"");
        say(Performative::Detach(performative::Detach { handle: 0, closed: true, error: None }), b"");
        say(Performative::End(None), b"");
        say(Performative::Close(None), b"");
    })
}

/// Gives frames the lengths that they have.
fn mend_frames(input: &mut [u8]) {
    let mut at = 0;
    while at + frame::HEAD_BYTES <= input.len() {
        let head = &input[at..at + 4];
        if head == b"AMQP" {
            at += 8;
            continue;
        }
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let size = if (frame::HEAD_BYTES..=input.len() - at).contains(&size) { size } else { input.len() - at };
        input[at..at + 4].copy_from_slice(&(size as u32).to_be_bytes());
        at += size;
    }
}

#[test]
fn connections() {
    let corpus = [session(false), session(true)];
    let target =
        Target { name: "AMQP connections", corpus: &corpus, mend: mend_frames, memory: MEMORY, rounds: 20_000 };
    let mut events = 0;
    target.run(|input| {
        let mut connection = Connection::new(OPTIONS, 0);
        let mut bytes = BytesMut::new();
        for piece in input.chunks(100) {
            bytes.put_slice(piece);
            while let Some(event) = connection.next_event(&mut bytes, 0) {
                events += 1;
                answer(&mut connection, event);
            }
        }
        connection.tick(1_000_000);
        assert!(
            connection.is_closed()
                && connection.next_event(&mut bytes, 0).is_none_or(|event| matches!(event, Event::Detached(_)))
        );
        connection.output().clear();
    });
    assert!(events > 30_000, "changes leave most of a session to be served: {events}");
}

fn answer(connection: &mut Connection, event: Event) {
    match event {
        Event::Attach(id, asked) if asked.name.as_str().len() > 8 => {
            connection.refuse(id, AmqpError::new(crate::condition::NOT_FOUND, "no"));
        }
        Event::Attach(id, _) => connection.accept(id, accepted()),
        Event::Delivery(delivery) => connection.settle(delivery.link, delivery.id, delivery.settled, None),
        Event::Credit(id) => {
            // A peer may give credit for billions.
            for _ in 0..10 {
                connection.send(id, &[b"event"]);
            }
            connection.drained(id);
        }
        Event::Opened { .. } | Event::Detached(_) => {}
    }
}
