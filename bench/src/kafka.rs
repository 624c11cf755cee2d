//! One Kafka connection of a client that sends one batch over and over, or reads a partition: requests made once, as bytes.
//! Not here: idempotence, compression, more than one broker.

use anyhow::ensure;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The APIs and their versions that are spoken: what every server since 2017 serves, in the protocol's first encoding.
const PRODUCE: (i16, i16) = (0, 3);
const FETCH: (i16, i16) = (1, 4);
/// Bytes that a fetch asks for at most.
const FETCH_BYTES: i32 = 1 << 20;
/// How long a fetch may wait for records, milliseconds.
const FETCH_WAIT_MS: i32 = 500;

/// A connection.
pub struct KafkaClient {
    stream: TcpStream,
}

/// What a fetch brought.
pub struct Fetched {
    /// Records.
    pub records: u64,
    /// Where to read next.
    pub next: i64,
}

impl KafkaClient {
    /// Connects to `address` (`127.0.0.1:9092`).
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn connect(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Sends a request of [`produce`] and waits until all of it is acknowledged.
    ///
    /// # Errors
    /// The server's error code.
    pub async fn send(&mut self, request: &Bytes) -> anyhow::Result<()> {
        let mut answer = self.call(request).await?;
        // One topic, its name, one partition, its number.
        answer.advance(4);
        let name = answer.get_i16();
        answer.advance(usize::try_from(name)? + 4 + 4);
        let error = answer.get_i16();
        ensure!(error == 0, "the server answered with error {error}");
        Ok(())
    }

    /// Reads a partition from an offset on.
    ///
    /// # Errors
    /// The server's error code.
    pub async fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> anyhow::Result<Fetched> {
        let mut fields = BytesMut::new();
        fields.put_i32(-1);
        fields.put_i32(FETCH_WAIT_MS);
        fields.put_i32(1);
        fields.put_i32(FETCH_BYTES);
        fields.put_i8(0);
        put_topic(&mut fields, topic, partition);
        fields.put_i64(offset);
        fields.put_i32(FETCH_BYTES);
        let mut answer = self.call(&request(FETCH, &fields)).await?;
        answer.advance(4 + 4);
        let name = answer.get_i16();
        answer.advance(usize::try_from(name)? + 4 + 4);
        let error = answer.get_i16();
        ensure!(error == 0, "the server answered with error {error}");
        // The high watermark, the last stable offset, no aborted transactions.
        answer.advance(8 + 8);
        let aborted = answer.get_i32().max(0);
        answer.advance(usize::try_from(aborted)? * 16 + 4);
        let mut fetched = Fetched { records: 0, next: offset };
        // A batch's offset, length, epoch, version, checksum and attributes stand before its last offset's distance.
        while answer.len() >= 61 {
            let base = answer.get_i64();
            let length = usize::try_from(answer.get_i32())?;
            if length > answer.len() {
                break;
            }
            let mut batch = answer.split_to(length);
            batch.advance(4 + 1 + 4 + 2);
            let next = base + i64::from(batch.get_i32()) + 1;
            fetched.records += u64::try_from(next - fetched.next.max(base))?;
            fetched.next = next;
        }
        Ok(fetched)
    }

    async fn call(&mut self, request: &Bytes) -> anyhow::Result<Bytes> {
        self.stream.write_all(request).await?;
        let mut answer = vec![0; usize::try_from(self.stream.read_i32().await?)?];
        self.stream.read_exact(&mut answer).await?;
        Ok(Bytes::from(answer).slice(4..))
    }
}

/// A request that appends a batch of `count` equal records to a partition, acknowledged by all.
#[must_use]
pub fn produce(topic: &str, partition: i32, body: &[u8], count: usize) -> Bytes {
    let batch = batch(body, count);
    let mut fields = BytesMut::new();
    fields.put_i16(-1);
    fields.put_i16(-1);
    fields.put_i32(30_000);
    put_topic(&mut fields, topic, partition);
    fields.put_i32(batch.len() as i32);
    fields.put_slice(&batch);
    request(PRODUCE, &fields)
}

fn batch(body: &[u8], count: usize) -> BytesMut {
    let mut checked = BytesMut::new();
    checked.put_i16(0);
    checked.put_i32(count as i32 - 1);
    checked.put_i64(0);
    checked.put_i64(0);
    checked.put_i64(-1);
    checked.put_i16(-1);
    checked.put_i32(-1);
    checked.put_i32(count as i32);
    for number in 0..count {
        let mut record = BytesMut::new();
        record.put_slice(&[0, 0]);
        put_varint(&mut record, number as i64);
        put_varint(&mut record, -1);
        put_varint(&mut record, body.len() as i64);
        record.put_slice(body);
        put_varint(&mut record, 0);
        put_varint(&mut checked, record.len() as i64);
        checked.put_slice(&record);
    }
    let mut batch = BytesMut::new();
    batch.put_i64(0);
    batch.put_i32(checked.len() as i32 + 9);
    batch.put_i32(0);
    batch.put_i8(2);
    batch.put_u32(crc_fast::crc32_iscsi(&checked));
    batch.put_slice(&checked);
    batch
}

fn put_topic(fields: &mut BytesMut, topic: &str, partition: i32) {
    fields.put_i32(1);
    fields.put_i16(topic.len() as i16);
    fields.put_slice(topic.as_bytes());
    fields.put_i32(1);
    fields.put_i32(partition);
}

fn request((api, version): (i16, i16), fields: &[u8]) -> Bytes {
    let mut request = BytesMut::new();
    request.put_i32(fields.len() as i32 + 10);
    request.put_i16(api);
    request.put_i16(version);
    request.put_i32(0);
    request.put_i16(-1);
    request.put_slice(fields);
    request.freeze()
}

fn put_varint(out: &mut BytesMut, value: i64) {
    let mut value = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}
