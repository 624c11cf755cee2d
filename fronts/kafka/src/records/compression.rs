//! Taking compressed records apart, never into more bytes than there is room for.

use std::io::Read;

use bytes::{Buf as _, Bytes};

use super::decode::BatchError;

/// Binary logarithm of the history that a zstd decoder keeps: 8 MiB, what encoders use up to their level 19.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// What Java clients put in front of snappy's blocks: a name, then two versions of four bytes.
const SNAPPY_FRAMES: &[u8] = b"\x82SNAPPY\0";
const SNAPPY_FRAMES_HEAD: usize = 16;

/// The bytes of a batch's records, at most `room` of them.
///
/// # Errors
/// [`BatchError::Compression`] for a codec that does not exist, [`BatchError::TooLarge`], [`BatchError::Corrupt`].
pub fn decompress(codec: u8, bytes: Bytes, room: usize) -> Result<Bytes, BatchError> {
    match codec {
        // These are there already.
        0 => Ok(bytes),
        1 => read(flate2::read::MultiGzDecoder::new(&*bytes), room),
        2 if bytes.starts_with(SNAPPY_FRAMES) => snappy_frames(bytes, room),
        2 => snappy_block(&bytes, room).map(Bytes::from),
        3 => read(lz4_flex::frame::FrameDecoder::new(&*bytes), room),
        4 => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(&*bytes).map_err(|_| BatchError::Corrupt)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| BatchError::Corrupt)?;
            read(decoder, room)
        }
        _ => Err(BatchError::Compression),
    }
}

fn read(decoder: impl Read, room: usize) -> Result<Bytes, BatchError> {
    let mut out = Vec::new();
    decoder.take(room as u64 + 1).read_to_end(&mut out).map_err(|_| BatchError::Corrupt)?;
    if out.len() > room {
        return Err(BatchError::TooLarge);
    }
    Ok(out.into())
}

fn snappy_frames(mut bytes: Bytes, room: usize) -> Result<Bytes, BatchError> {
    if bytes.len() < SNAPPY_FRAMES_HEAD {
        return Err(BatchError::Corrupt);
    }
    bytes.advance(SNAPPY_FRAMES_HEAD);
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let length = bytes.try_get_u32().map_err(|_| BatchError::Corrupt)? as usize;
        let block = (length <= bytes.len()).then(|| bytes.split_to(length)).ok_or(BatchError::Corrupt)?;
        out.extend(snappy_block(&block, room - out.len())?);
    }
    Ok(out.into())
}

fn snappy_block(block: &[u8], room: usize) -> Result<Vec<u8>, BatchError> {
    let length = snap::raw::decompress_len(block).map_err(|_| BatchError::Corrupt)?;
    if length > room {
        return Err(BatchError::TooLarge);
    }
    snap::raw::Decoder::new().decompress_vec(block).map_err(|_| BatchError::Corrupt)
}

#[cfg(test)]
pub mod tests {
    use std::io::Write as _;

    use super::*;

    const ROOM: usize = 100_000;

    /// Bytes as a codec packs them.
    pub fn packed(codec: u8, bytes: &[u8]) -> Bytes {
        match codec {
            1 => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(bytes).unwrap();
                out.finish().unwrap().into()
            }
            2 => snap::raw::Encoder::new().compress_vec(bytes).unwrap().into(),
            3 => {
                let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
                out.write_all(bytes).unwrap();
                out.finish().unwrap().into()
            }
            4 => zstd::encode_all(bytes, 3).unwrap().into(),
            _ => Bytes::copy_from_slice(bytes),
        }
    }

    #[test]
    fn every_codec_gives_back_what_was_packed() {
        let text = b"one record, one record, one record".repeat(100);
        for codec in 0..=4 {
            assert_eq!(decompress(codec, packed(codec, &text), text.len()).unwrap(), text, "codec {codec}");
        }
        assert_eq!(decompress(5, Bytes::new(), ROOM), Err(BatchError::Compression));
    }

    #[test]
    fn what_grows_beyond_bounds_is_refused() {
        let zeros = vec![0; ROOM + 1];
        for codec in 1..=4 {
            assert_eq!(decompress(codec, packed(codec, &zeros), ROOM), Err(BatchError::TooLarge), "codec {codec}");
        }
    }

    #[test]
    fn snappy_comes_in_frames_too() {
        let mut framed = SNAPPY_FRAMES.to_vec();
        framed.extend([0, 0, 0, 1, 0, 0, 0, 1]);
        for part in [&b"ab"[..], b"cd"] {
            let block = snap::raw::Encoder::new().compress_vec(part).unwrap();
            framed.extend((block.len() as u32).to_be_bytes());
            framed.extend(block);
        }
        assert_eq!(decompress(2, framed.into(), ROOM).unwrap(), "abcd");
    }

    #[test]
    fn other_bytes_are_corrupt() {
        for codec in 1..=4 {
            assert_eq!(
                decompress(codec, Bytes::from_static(&[0xff; 40]), ROOM),
                Err(BatchError::Corrupt),
                "codec {codec}"
            );
        }
        assert_eq!(decompress(2, Bytes::from_static(SNAPPY_FRAMES), ROOM), Err(BatchError::Corrupt));
    }
}
