//! Which names buckets and objects may have: those that lead to a file of the bucket's folder and nowhere else.

use sha2::{Digest as _, Sha256};

use crate::error::ObjectError;

/// Bytes of a bucket's name: the keyspaces of its entries have their own words before it.
pub const BUCKET_NAME_BYTES_MAX: usize = 200;

/// Bytes of a key, as S3 and Blob storage allow.
pub const KEY_BYTES_MAX: usize = 1_024;

/// Bytes of a key's part between slashes: Linux file systems take no longer names.
pub const KEY_PART_BYTES_MAX: usize = 255;

/// Whether a bucket's name is one in every store and leads nowhere else as a folder.
///
/// # Errors
/// [`ObjectError::BadBucket`].
pub fn check_bucket(bucket: &str) -> Result<(), ObjectError> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
    let length = (1..=BUCKET_NAME_BYTES_MAX).contains(&bucket.len());
    let fine = length && bucket.chars().all(allowed) && !bucket.starts_with('.');
    if fine { Ok(()) } else { Err(ObjectError::BadBucket { bucket: bucket.to_owned() }) }
}

/// Whether a key leads to a file of the bucket's folder.
///
/// # Errors
/// [`ObjectError::BadKey`] with the rule that it breaks.
pub fn check_key(key: &str) -> Result<(), ObjectError> {
    let broken = |reason| Err(ObjectError::BadKey { key: key.chars().take(KEY_BYTES_MAX).collect(), reason });
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return broken("it must have 1 to 1024 bytes");
    }
    if key.chars().any(char::is_control) {
        return broken("it must have no control characters");
    }
    for part in key.split('/') {
        match part {
            "" => return broken("it must neither begin nor end with `/` nor have two of them together"),
            "." | ".." => return broken("`.` and `..` are no names"),
            long if long.len() > KEY_PART_BYTES_MAX => return broken("a part between `/` must have at most 255 bytes"),
            _ => {}
        }
    }
    Ok(())
}

/// A key's name of one length, for what is kept of an object elsewhere: keys may be longer than a file's name.
pub(crate) fn hash_of_key(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_to_a_file_of_the_bucket_or_are_refused() {
        let long = ["x".repeat(256), "x/".repeat(600)];
        for fine in ["a", "2026/11/21/part-0.json", ".hidden", "a b/ü", "a..b", "$logs"] {
            assert!(check_key(fine).is_ok(), "{fine}");
        }
        for bad in ["", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/./b", "a\0b", "a\nb", &long[0], &long[1]] {
            assert!(matches!(check_key(bad), Err(ObjectError::BadKey { .. })), "{bad}");
        }
    }

    #[test]
    fn bucket_names_are_folders_of_the_root() {
        for fine in ["archive", "my-bucket.v1", "A_b"] {
            assert!(check_bucket(fine).is_ok(), "{fine}");
        }
        for bad in ["", ".", "..", ".millstream", "a/b", "a b", "../etc", &"x".repeat(201)] {
            assert!(matches!(check_bucket(bad), Err(ObjectError::BadBucket { .. })), "{bad}");
        }
    }
}
