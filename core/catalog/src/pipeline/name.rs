//! What resources may be called: as their engines take it, so that a name is found wrong before anything is made.

/// The names of a kind: letters, digits and some other characters.
pub(super) struct NameRule {
    /// Characters, at least and at most.
    length: (usize, usize),
    others: &'static str,
}

impl NameRule {
    /// The rule for a kind of resource.
    pub(super) fn of(kind: &str) -> Self {
        let (length, others) = match kind {
            "table" | "index" => ((3, 255), "_-."),
            "delivery stream" => ((1, 64), "_-."),
            "function" => ((1, 64), "_-"),
            "queue" => ((1, 80), "_-"),
            "role" | "user" => ((1, 64), "_-.+=,@"),
            "event hub" => ((1, 256), "_-."),
            "blob container" | "bucket" => ((1, 200), "_-."),
            "event grid topic" => ((3, 50), "-"),
            "sns topic" => ((1, 256), "_-"),
            _ => ((1, 128), "_-."),
        };
        Self { length, others }
    }

    /// What is expected, when a name is another.
    pub(super) fn broken_by(&self, name: &str) -> Option<String> {
        let fits = |char: char| char.is_ascii_alphanumeric() || self.others.contains(char);
        let (min, max) = self.length;
        if (min..=max).contains(&name.len()) && name.chars().all(fits) {
            return None;
        }
        let others = self.others.chars().map(|char| format!("`{char}`")).collect::<Vec<_>>().join(", ");
        Some(format!("a name of {min} to {max} letters, digits and {others}"))
    }
}
