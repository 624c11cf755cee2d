//! A certificate that its key has signed itself, X.509 version 3, as DER and as PEM. Pure.
//!
//! Source: RFC 5280. It is a dozen values within each other, so they are written here. It says whose key it holds and
//! nothing more: no uses, no authorities.

use base64_simd::STANDARD;
use millstream_types::Millis;
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::pkcs8::EncodePublicKey as _;
use sha2::{Digest as _, Sha256};

use super::signer::{SignerError, unusable};

/// Whose certificate it says it is.
const NAME: &str = "sns.millstream.local";
/// How long it holds, and how long before its making: clocks differ.
const YEARS: i64 = 20;
const BEFORE_MS: Millis = 24 * 3_600_000;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTF8_STRING: u8 = 0x0c;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The version, explicitly tagged.
const VERSION: u8 = 0xa0;

/// `sha256WithRSAEncryption`, 1.2.840.113549.1.1.11, with its parameters NULL.
const ALGORITHM: [u8; 13] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00];
/// `commonName`, 2.5.4.3.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];

/// Makes the certificate of a key; its serial number is random.
pub(super) fn make(key: &RsaPrivateKey, now: Millis) -> Result<Vec<u8>, SignerError> {
    let public = key.to_public_key().to_public_key_der().map_err(unusable)?;
    let mut serial = uuid::Uuid::new_v4().into_bytes().to_vec();
    // A serial number is positive and begins with no zero.
    serial[0] = serial[0] & 0x7f | 0x40;
    let name = value(
        SEQUENCE,
        &value(SET, &value(SEQUENCE, &[&COMMON_NAME[..], &value(UTF8_STRING, NAME.as_bytes())].concat())),
    );
    let algorithm = value(SEQUENCE, &ALGORITHM);
    let validity = [time(now - BEFORE_MS), time(now + YEARS * 365 * 24 * 3_600_000)].concat();
    let content = [
        value(VERSION, &value(INTEGER, &[2])),
        value(INTEGER, &serial),
        algorithm.clone(),
        name.clone(),
        value(SEQUENCE, &validity),
        name,
        public.as_bytes().to_vec(),
    ];
    let content = value(SEQUENCE, &content.concat());
    let signature = key.sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(&content)).map_err(unusable)?;
    // No bit of the last byte is unused.
    let signature = value(BIT_STRING, &[&[0][..], &signature].concat());
    Ok(value(SEQUENCE, &[content, algorithm, signature].concat()))
}

/// A certificate as text.
pub(super) fn pem(der: &[u8]) -> String {
    const LINE: usize = 64;
    let text = STANDARD.encode_to_string(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(LINE) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// A value with its tag and its length.
fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => der.push(short),
        _ => {
            let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            // A length has at most eight bytes.
            der.push(0x80 | bytes.len() as u8);
            der.extend(bytes);
        }
    }
    der.extend_from_slice(content);
    der
}

fn time(at: Millis) -> Vec<u8> {
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    value(GENERALIZED_TIME, at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short_or_long() {
        assert_eq!(value(4, &[7; 3]), [4, 3, 7, 7, 7]);
        assert_eq!(value(4, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(value(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
        assert_eq!(time(0)[..], *b"\x18\x0f19700101000000Z");
    }
}
