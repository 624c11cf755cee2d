//! Texts that are longer than what they are made of: how long one may be, and all that are made at once.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::error::ArrowError;

/// The longest text a function may make, bytes.
pub(super) const TEXT_BYTES_MAX: usize = 1 << 20;

/// As long may all texts be together that one call makes of the rows that are computed at once. Records that are read together have
/// some MiB: only a text that makes each of its rows many times longer comes here.
pub(crate) const TEXTS_BYTES_MAX: usize = 256 << 20;

/// Texts as an array.
///
/// # Errors
/// What a row's text is instead, and a text that is too long: that row's own. [`ArrowError::MemoryError`] for all together.
pub(super) fn grown<T: AsRef<str>>(
    rows: impl Iterator<Item = Result<Option<T>, ArrowError>>,
) -> Result<ArrayRef, ArrowError> {
    let (mut texts, mut bytes) = (StringBuilder::with_capacity(rows.size_hint().0, 0), 0);
    for text in rows {
        let text = text?;
        let length = text.as_ref().map_or(0, |text| text.as_ref().len());
        bytes += length;
        if length > TEXT_BYTES_MAX {
            return Err(too_long());
        }
        if bytes > TEXTS_BYTES_MAX {
            return Err(ArrowError::MemoryError(texts_too_long()));
        }
        texts.append_option(text);
    }
    Ok(Arc::new(texts.finish()))
}

/// Why a query stops whose texts are too long together.
pub(crate) fn texts_too_long() -> String {
    let most = TEXTS_BYTES_MAX >> 20;
    format!(
        "the query makes texts of more than {most} MiB of records that are read together: shorten what it repeats or joins"
    )
}

pub(super) fn too_long() -> ArrowError {
    ArrowError::ComputeError(format!("the text would be longer than {TEXT_BYTES_MAX} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_and_all_texts_are_bounded() {
        let text = |bytes: usize| Ok(Some("x".repeat(bytes)));
        let made = grown([text(3), Ok(None), text(0)].into_iter()).unwrap();
        assert_eq!((made.len(), made.null_count()), (3, 1));
        assert!(matches!(grown([text(TEXT_BYTES_MAX + 1)].into_iter()), Err(ArrowError::ComputeError(_))));
        let long = "x".repeat(TEXT_BYTES_MAX);
        let many = |count| grown((0..count).map(|_| Ok(Some(long.as_str()))));
        assert!(many(TEXTS_BYTES_MAX / TEXT_BYTES_MAX).is_ok());
        assert!(matches!(many(TEXTS_BYTES_MAX / TEXT_BYTES_MAX + 1), Err(ArrowError::MemoryError(_))));
    }
}
