//! A text of an expression, read from its beginning sign by sign. Knows texts in quotes and how to refuse; what signs mean is
//! their readers' business.

/// What is left to be read.
#[derive(Debug, Clone)]
pub(super) struct Reader<'t> {
    pub(super) rest: &'t str,
}

impl<'t> Reader<'t> {
    /// The inside of `@(…)`; `None` for a text that is no expression.
    ///
    /// # Errors
    /// When it begins as an expression of a form that is not known.
    pub(super) fn of_expression(text: &'t str) -> Result<Option<Self>, String> {
        let trimmed = text.trim();
        let refused = || format!("The expression `{trimmed}` is not supported by this node");
        if trimmed.starts_with("@{") {
            return Err(refused());
        }
        let Some(inner) = trimmed.strip_prefix("@(") else { return Ok(None) };
        Ok(Some(Self { rest: inner.strip_suffix(')').ok_or_else(refused)? }))
    }

    /// Whether nothing is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip();
        self.rest.is_empty()
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// What is not understood, from here on.
    pub(super) fn refused(&self) -> String {
        let shown: String = self.rest.chars().take(80).collect();
        format!("The expression is not supported by this node from `{shown}` on")
    }

    /// Takes a word or sign that is next.
    pub(super) fn take(&mut self, sign: &str) -> bool {
        self.skip();
        let Some(rest) = self.rest.strip_prefix(sign) else { return false };
        self.rest = rest;
        true
    }

    pub(super) fn need(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(self.refused()) }
    }

    /// A text in double quotes without escapes.
    pub(super) fn text(&mut self) -> Result<String, String> {
        self.skip();
        let found = self.rest.strip_prefix('"').and_then(|rest| rest.split_once('"'));
        let (text, rest) = found.filter(|(text, _)| !text.contains('\\')).ok_or_else(|| self.refused())?;
        self.rest = rest;
        Ok(text.to_owned())
    }

    /// Whether a text in quotes is next.
    pub(super) fn is_at_text(&mut self) -> bool {
        self.skip();
        self.rest.starts_with('"')
    }

    /// A number that is next.
    pub(super) fn number(&mut self) -> Option<f64> {
        self.skip();
        let digits = self.rest.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(self.rest.len());
        let number = self.rest[..digits].parse().ok()?;
        self.rest = &self.rest[digits..];
        Some(number)
    }
}
