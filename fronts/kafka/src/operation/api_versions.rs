//! ApiVersions: what is served.

use crate::api::SERVED;
use crate::connection::Request;
use crate::error::ErrorCode;
use crate::wire::{DecodeError, Writer};

pub fn answer(mut request: Request) -> Result<Writer, DecodeError> {
    if request.version >= 3 {
        // The client's name and version.
        request.fields.string()?;
        request.fields.string()?;
    }
    request.fields.tags()?;
    let mut out = request.answer();
    out.i16(ErrorCode::None.wire());
    list(&mut out);
    if request.version >= 1 {
        out.i32(0);
    }
    out.tags();
    Ok(out)
}

/// The answer to a version that is not served: in the first version, with the list.
pub fn refusal(correlation: i32) -> Writer {
    let mut out = Writer::answer(correlation, false);
    out.i16(ErrorCode::UnsupportedVersion.wire());
    list(&mut out);
    out
}

fn list(out: &mut Writer) {
    out.array(&SERVED, |out, served| {
        out.i16(served.key);
        out.i16(served.versions.0);
        out.i16(served.versions.1);
        out.tags();
    });
}
