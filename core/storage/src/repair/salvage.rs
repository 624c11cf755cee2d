//! What can still be read of a journal file: its sound frames, on both sides of what is damaged. Pure.

use bytes::Bytes;

use crate::frame::{self, Frame, HEAD, u32_at};
use crate::journal::FILE_HEADER;

/// A file of the journal.
pub(super) struct JournalFile {
    pub(super) number: u64,
    pub(super) bytes: Bytes,
}

/// A frame that is sound, and where it begins.
pub(super) struct Sound {
    pub(super) position: usize,
    pub(super) frame: Frame,
}

/// The sound frames of a file from transaction `lsn` on. Behind a break they count only when something shows that what is
/// missing was durable: what is left of a write that failed stands behind the end, too. `durable`: everything up to this
/// transaction was, as the next file or the stores show.
pub(super) fn sound_frames(file: &JournalFile, mut lsn: u64, durable: u64) -> Vec<Sound> {
    let JournalFile { number, bytes } = file;
    if bytes.len() < FILE_HEADER {
        return Vec::new();
    }
    let mut sound: Vec<Sound> = Vec::new();
    let (mut position, mut previous) = (FILE_HEADER, u32_at(bytes, 4));
    loop {
        let next = frame::read(bytes, position)
            .filter(|frame| (frame.place.epoch, frame.place.lsn, frame.place.previous) == (*number, lsn, previous))
            .map(|frame| Sound { position, frame })
            .or_else(|| behind_break(file, position, lsn, durable));
        let Some(next) = next else { return sound };
        (position, lsn, previous) =
            (next.position + next.frame.length, next.frame.place.lsn + 1, next.frame.head_checksum);
        sound.push(next);
    }
}

/// The next sound frame, at or behind a position where transaction `lsn` should begin.
fn behind_break(file: &JournalFile, position: usize, lsn: u64, durable: u64) -> Option<Sound> {
    let JournalFile { number, bytes } = file;
    let places = || (position..bytes.len().saturating_sub(HEAD)).step_by(8);
    let shows = |at: usize| {
        frame::read_head(bytes, at).is_some_and(|(place, _)| place.epoch == *number && place.synced_lsn >= lsn)
    };
    if durable < lsn && !places().any(shows) {
        return None;
    }
    places().find_map(|position| {
        let frame = frame::read(bytes, position)?;
        (frame.place.epoch == *number && frame.place.lsn >= lsn).then_some(Sound { position, frame })
    })
}
