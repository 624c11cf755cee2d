//! One AMQP connection of a client: a session, and one link at a time in use. Not here: many sessions, resuming, settling
//! by hand; deliveries are taken settled. Events go in Event Hubs' batch format or one by one, which any server takes.

use anyhow::{Context as _, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use millstream_amqp::Value;
use millstream_amqp::codec::fields::FieldWriter;
use millstream_amqp::codec::performative::{
    Attach, Begin, DeliveryState, Disposition, Flow, Open, Performative, Role, Transfer,
};
use millstream_amqp::frame::{self, AMQP_HEADER, FRAME_BYTES_MIN, Frame, Kind, SASL_HEADER};
use millstream_amqp::message::{SectionKind, put_section};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes of the largest frame that the client takes.
const FRAME_BYTES_MAX: u32 = 1 << 20;
/// Transfers that the session takes: more than a run has.
const INCOMING_WINDOW: u32 = 1 << 30;
/// Bytes that a read makes room for.
const READ_BYTES: usize = 256 << 10;
/// The service's format of a message that holds a batch of them.
const BATCH_FORMAT: u32 = 0x8001_3700;

/// A connection with an open session.
pub struct AmqpClient {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
    frame_bytes_max: u32,
    next_delivery: u32,
    /// The first delivery that the link has no credit for.
    credit_end: u32,
    handles: u32,
}

/// What is sent as one delivery.
#[derive(Debug, Clone)]
pub struct Message {
    payload: Bytes,
    format: u32,
}

impl Message {
    /// One event, with the header that has a broker keep it on its disk; Event Hubs keeps every event.
    #[must_use]
    pub fn event(body: &Bytes) -> Self {
        let mut payload = BytesMut::new();
        put_section(&mut payload, SectionKind::Header, &Value::List(vec![Value::Bool(true)]));
        payload.put_slice(&encoded(body));
        Self { payload: payload.freeze(), format: 0 }
    }

    /// A batch of `count` events that are alike.
    #[must_use]
    pub fn batch(body: &Bytes, count: usize) -> Self {
        Self { payload: (0..count).flat_map(|_| encoded(&encoded(body))).collect(), format: BATCH_FORMAT }
    }
}

fn encoded(body: &Bytes) -> Bytes {
    let mut out = BytesMut::new();
    put_section(&mut out, SectionKind::Data, &Value::Binary(body.clone()));
    out.freeze()
}

impl AmqpClient {
    /// Connects to `address` (`127.0.0.1:5672`) with a policy's name and key, and opens a session.
    ///
    /// # Errors
    /// Nobody listens there, or the server refuses.
    pub async fn connect(address: &str, policy: &str, key: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let mut client = Self {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            frame_bytes_max: FRAME_BYTES_MIN,
            next_delivery: 0,
            credit_end: 0,
            handles: 0,
        };
        client.prove(&format!("\0{policy}\0{key}")).await?;
        client.output.put_slice(&AMQP_HEADER);
        client.put(Performative::Open(Open {
            container_id: "bench".into(),
            hostname: Some("localhost".into()),
            max_frame_size: FRAME_BYTES_MAX,
            channel_max: 0,
            idle_time_out: None,
        }));
        client.put(Performative::Begin(Begin {
            remote_channel: None,
            next_outgoing_id: 0,
            incoming_window: INCOMING_WINDOW,
            outgoing_window: INCOMING_WINDOW,
            handle_max: 255,
        }));
        client.flush().await?;
        client.header(AMQP_HEADER).await?;
        loop {
            match client.next().await?.0 {
                Performative::Open(open) => client.frame_bytes_max = open.max_frame_size,
                Performative::Begin(_) => return Ok(client),
                _ => {}
            }
        }
    }

    async fn prove(&mut self, response: &str) -> anyhow::Result<()> {
        self.output.put_slice(&SASL_HEADER);
        frame::put(&mut self.output, Kind::Sasl, 0, |out| {
            FieldWriter::begin(out, 0x41).symbol(Some("PLAIN")).binary(Some(response.as_bytes())).end();
        });
        self.flush().await?;
        self.header(SASL_HEADER).await?;
        self.frame().await.context("the mechanisms")?;
        self.frame().await.context("the outcome of the security layer")?;
        Ok(())
    }

    /// Attaches a link that sends to an address, and waits for credit.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn sender(&mut self, address: &str) -> anyhow::Result<u32> {
        let handle = self.attach(Role::Sender, address);
        self.flush().await?;
        while self.credit_end == 0 {
            self.next().await?;
        }
        Ok(handle)
    }

    /// Attaches a link that takes what an address holds, from the oldest event on.
    ///
    /// # Errors
    /// The connection breaks.
    pub async fn receiver(&mut self, address: &str) -> anyhow::Result<u32> {
        let handle = self.attach(Role::Receiver, address);
        self.flush().await?;
        Ok(handle)
    }

    fn attach(&mut self, role: Role, address: &str) -> u32 {
        let handle = self.handles;
        self.handles += 1;
        let end = |descriptor, address| {
            let mut out = BytesMut::new();
            FieldWriter::begin(&mut out, descriptor).string(address).end();
            Some(out.freeze())
        };
        let (source, target) = match role {
            Role::Sender => (None, Some(address)),
            Role::Receiver => (Some(address), None),
        };
        self.put(Performative::Attach(Box::new(Attach {
            name: format!("link-{handle}").into(),
            handle,
            role,
            snd_settle_mode: if role == Role::Sender { 0 } else { 1 },
            rcv_settle_mode: 0,
            source: end(0x28, source),
            target: end(0x29, target),
            unsettled: None,
            incomplete_unsettled: false,
            initial_delivery_count: (role == Role::Sender).then_some(0),
            max_message_size: None,
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: Value::Null,
        })));
        handle
    }

    /// Sends a message some times, as far ahead as the server gives credit, and waits until it has accepted every one.
    ///
    /// # Errors
    /// The server refuses one, or the message does not fit into a frame.
    pub async fn send(&mut self, handle: u32, message: &Message, times: u32) -> anyhow::Result<()> {
        let (mut unsent, mut unsettled) = (times, times);
        while unsettled > 0 {
            let now = unsent.min(self.credit_end.wrapping_sub(self.next_delivery));
            for _ in 0..now {
                self.transfer(handle, message)?;
            }
            self.flush().await?;
            unsent -= now;
            match self.next().await?.0 {
                Performative::Disposition(Disposition {
                    first, last, state: Some(DeliveryState::Accepted), ..
                }) => {
                    unsettled = unsettled.saturating_sub(last.unwrap_or(first).wrapping_sub(first) + 1);
                }
                Performative::Disposition(refused) => bail!("the server did not accept: {:?}", refused.state),
                _ => {}
            }
        }
        Ok(())
    }

    fn transfer(&mut self, handle: u32, message: &Message) -> anyhow::Result<()> {
        let id = self.next_delivery;
        self.next_delivery = id.wrapping_add(1);
        let transfer = Transfer {
            handle,
            delivery_id: Some(id),
            delivery_tag: Some(Bytes::copy_from_slice(&id.to_be_bytes())),
            message_format: Some(message.format),
            settled: Some(false),
            ..Transfer::default()
        };
        let before = self.output.len();
        frame::put(&mut self.output, Kind::Amqp, 0, |out| {
            Performative::Transfer(transfer).encode(out);
            out.put_slice(&message.payload);
        });
        if self.output.len() - before > self.frame_bytes_max as usize {
            bail!("expected a message within a frame of {} bytes", self.frame_bytes_max);
        }
        Ok(())
    }

    /// Gives a receiving link credit from its `taken`th delivery on.
    ///
    /// # Errors
    /// The connection breaks.
    pub async fn credit(&mut self, handle: u32, taken: u32, credit: u32) -> anyhow::Result<()> {
        self.put(Performative::Flow(Flow {
            next_incoming_id: Some(0),
            incoming_window: INCOMING_WINDOW,
            next_outgoing_id: self.next_delivery,
            outgoing_window: INCOMING_WINDOW,
            handle: Some(handle),
            delivery_count: Some(taken),
            link_credit: Some(credit),
            ..Flow::default()
        }));
        self.flush().await
    }

    /// Waits for the end of the next delivery; gives its link.
    ///
    /// # Errors
    /// The connection breaks.
    pub async fn delivery(&mut self) -> anyhow::Result<u32> {
        loop {
            if let (Performative::Transfer(Transfer { handle, more: false, .. }), _) = self.next().await? {
                return Ok(handle);
            }
        }
    }

    async fn next(&mut self) -> anyhow::Result<(Performative, Bytes)> {
        loop {
            let frame = self.frame().await?;
            if frame.body.is_empty() {
                continue;
            }
            let (performative, payload) = Performative::decode(frame.body)?;
            match &performative {
                Performative::Detach(detach) => bail!("the server ended the link: {:?}", detach.error),
                Performative::End(error) | Performative::Close(error) => bail!("the server ended: {error:?}"),
                Performative::Flow(Flow { handle: Some(_), delivery_count, link_credit: Some(credit), .. }) => {
                    self.credit_end = delivery_count.unwrap_or_default().wrapping_add(*credit);
                }
                _ => {}
            }
            return Ok((performative, payload));
        }
    }

    async fn frame(&mut self) -> anyhow::Result<Frame> {
        loop {
            let frame = frame::take(&mut self.input, FRAME_BYTES_MAX);
            if let Some(frame) = frame.map_err(|error| anyhow::anyhow!("a frame: {error:?}"))? {
                return Ok(frame);
            }
            self.read().await?;
        }
    }

    async fn header(&mut self, expected: [u8; 8]) -> anyhow::Result<()> {
        while self.input.len() < expected.len() {
            self.read().await?;
        }
        let found = self.input.split_to(expected.len());
        if found[..] != expected {
            bail!("expected the header {expected:?}, found {found:?}");
        }
        Ok(())
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        self.input.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.input).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }

    fn put(&mut self, performative: Performative) {
        frame::put_performative(&mut self.output, 0, &performative);
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let output = self.output.split();
        Ok(self.stream.write_all(&output).await?)
    }
}
