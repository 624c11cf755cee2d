//! What an access key may do with a stream by a protocol that is not AWS's own: the same policies hold.

use millstream_access::Caller;

use super::{Authorizer, Need};

/// What somebody wants of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamUse {
    /// To put records.
    Write,
    /// To read records.
    Read,
    /// To make, change or delete it.
    Manage,
}

impl StreamUse {
    /// What must be allowed for it.
    fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Write => &["kinesis:PutRecords"],
            Self::Read => &["kinesis:GetRecords", "kinesis:GetShardIterator"],
            Self::Manage => &["kinesis:CreateStream", "kinesis:DeleteStream"],
        }
    }
}

impl Authorizer {
    /// Whether a caller may use a stream so.
    #[must_use]
    pub fn may_use_stream(&self, caller: &Caller, wanted: StreamUse, stream: &str) -> bool {
        let arn = self.place.arn("kinesis", &format!("stream/{stream}"));
        let needs: Vec<Need> = wanted.actions().iter().map(|action| Need::new(*action, &*arn)).collect();
        self.check(caller, &needs, &self.circumstances(caller, None)).is_ok()
    }
}
