//! Performatives there and back, and bytes written down by hand from the standard.

use proptest::prelude::*;

use super::*;
use crate::codec::Text;

pub fn all() -> Vec<Performative> {
    let error = || Some(AmqpError::new("amqp:not-found", "no such hub"));
    let attach = Attach {
        name: "link".into(),
        handle: 300,
        role: Role::Receiver,
        snd_settle_mode: 1,
        rcv_settle_mode: 0,
        source: Some(Bytes::from_static(&[0, 0x53, 0x28, 0xc0, 4, 1, 0xa1, 1, b'a'])),
        target: None,
        unsettled: None,
        incomplete_unsettled: false,
        initial_delivery_count: Some(0),
        max_message_size: Some(1 << 20),
        offered_capabilities: Vec::new(),
        desired_capabilities: vec!["one".into(), "two".into()],
        properties: Value::Map(vec![(Value::symbol("k"), Value::Long(-3))]),
    };
    vec![
        Performative::Open(Open {
            container_id: "c".into(),
            hostname: Some("localhost".into()),
            max_frame_size: 65_536,
            channel_max: 4_999,
            idle_time_out: Some(120_000),
        }),
        Performative::Begin(Begin {
            remote_channel: Some(1),
            next_outgoing_id: 1,
            incoming_window: 5_000,
            outgoing_window: 65_536,
            handle_max: 255,
        }),
        Performative::Attach(Box::new(attach)),
        Performative::Flow(Flow { handle: Some(0), link_credit: Some(300), drain: true, ..Flow::default() }),
        Performative::Transfer(Transfer {
            delivery_id: Some(7),
            delivery_tag: Some(Bytes::from_static(b"tag")),
            settled: Some(true),
            ..Transfer::default()
        }),
        Performative::Disposition(Disposition {
            role: Role::Receiver,
            first: 1,
            last: Some(9),
            settled: true,
            state: Some(DeliveryState::Rejected(error())),
            batchable: false,
        }),
        Performative::Detach(Detach { handle: 1, closed: true, error: error() }),
        Performative::End(None),
        Performative::Close(error()),
    ]
}

#[test]
fn what_is_encoded_is_decoded_and_the_payload_is_left() {
    for performative in all() {
        let mut out = BytesMut::new();
        performative.encode(&mut out);
        out.extend_from_slice(b"payload");
        let (decoded, payload) = Performative::decode(out.freeze()).unwrap();
        assert_eq!(decoded, performative);
        assert_eq!(payload, "payload");
    }
}

#[test]
fn golden_bytes() {
    let golden: &[(Performative, &[u8])] = &[
        (Performative::End(None), &[0, 0x53, 0x17, 0xc0, 2, 1, 0x40]),
        (Performative::Close(None), &[0, 0x53, 0x18, 0xc0, 2, 1, 0x40]),
        (
            Performative::Detach(Detach { handle: 0, closed: true, error: None }),
            &[0, 0x53, 0x16, 0xc0, 4, 3, 0x43, 0x41, 0x40],
        ),
        (
            Performative::Disposition(Disposition {
                role: Role::Receiver,
                first: 0,
                last: Some(3),
                settled: true,
                state: Some(DeliveryState::Accepted),
                batchable: false,
            }),
            &[0, 0x53, 0x15, 0xc0, 13, 6, 0x41, 0x43, 0x52, 3, 0x41, 0, 0x53, 0x24, 0xc0, 1, 0, 0x42],
        ),
    ];
    for (performative, bytes) in golden {
        let mut out = BytesMut::new();
        performative.encode(&mut out);
        assert_eq!(&out[..], *bytes, "{performative:?}");
    }
}

#[test]
fn fields_that_were_left_out_are_null() {
    let open = Bytes::from_static(&[0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x10, 0xc0, 4, 1, 0xa1, 1, b'c']);
    let (found, _) = Performative::decode(open).unwrap();
    let expected = Open {
        container_id: Text::from("c"),
        hostname: None,
        max_frame_size: u32::MAX,
        channel_max: u16::MAX,
        idle_time_out: None,
    };
    assert_eq!(found, Performative::Open(expected));
}

#[test]
fn a_source_gives_its_address_and_filters() {
    let mut raw = BytesMut::new();
    let filter = Value::Described(Value::symbol("f").into(), Value::string("x > '1'").into());
    FieldWriter::begin(&mut raw, 0x28)
        .string(Some("hub"))
        .nulls(6)
        .value(&Value::Map(vec![(Value::symbol("f"), filter.clone())]))
        .end();
    let source = Source::decode(Some(raw.freeze())).unwrap();
    assert_eq!(source.address.unwrap(), "hub");
    assert_eq!(source.filters, [("f".into(), filter)]);
}

proptest! {
    #[test]
    fn any_bytes_are_a_performative_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = Performative::decode(bytes.into());
    }

    #[test]
    fn changed_bytes_are_a_performative_or_an_error(
        which in 0usize..9, at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut out = BytesMut::new();
        all()[which].encode(&mut out);
        let at = at.index(out.len());
        out[at] = byte;
        if let Ok((Performative::Attach(attach), _)) = Performative::decode(out.freeze()) {
            let _ = (Source::decode(attach.source), Target::decode(attach.target));
        }
    }
}
