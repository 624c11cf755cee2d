//! How many connections each listener may hold at once, so that those of one, idle or not, leave descriptors for the others
//! and for the store, which cannot go on without.

use rustix::process::{Resource, getrlimit};

/// A listener's part of what the process may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// The HTTP protocols of both clouds.
    Protocols,
    /// Event Hubs by AMQP; twice with TLS.
    Amqp,
    /// Kafka; twice with TLS.
    Kafka,
    /// The console.
    Console,
    /// The developer portal.
    Portal,
    /// Commands over the socket in the data folder.
    Commands,
}

impl Share {
    /// Connections at once; more wait in the system's queue.
    #[must_use]
    pub fn connections(self) -> usize {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        self.of(usize::try_from(descriptors).unwrap_or(usize::MAX))
    }

    /// Its part of `descriptors`. A sixth of them is nobody's: files, functions' pipes, calls to others.
    fn of(self, descriptors: usize) -> usize {
        let (parts, most) = match self {
            Self::Protocols => (34, 20_000),
            Self::Amqp => (4, 5_000),
            Self::Kafka => (3, 20_000),
            Self::Console => (2, 1_000),
            Self::Portal => (2, 2_000),
            Self::Commands => (1, 100),
        };
        (descriptors / 64).saturating_mul(parts).clamp(8, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_leave_descriptors_for_the_store() {
        let all = [
            Share::Protocols,
            Share::Amqp,
            Share::Amqp,
            Share::Kafka,
            Share::Kafka,
            Share::Console,
            Share::Portal,
            Share::Commands,
        ];
        for limit in [1_024, 4_096, 20_000, 1 << 20] {
            let taken: usize = all.iter().map(|share| share.of(limit)).sum();
            assert!(taken < limit - limit / 7, "{taken} of {limit}");
        }
        assert!(Share::Protocols.of(20_000) > 10_000);
    }
}
