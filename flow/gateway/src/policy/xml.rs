//! Policy documents as elements, each with the place where it stands.
//!
//! This is XML without document types and namespaces, and with one habit of policy documents that XML does not have: the
//! value of an attribute or a text that begins with `@(` runs to its closing parenthesis, whatever quotes and signs are in
//! between.

use super::PolicyError;

/// The largest document, bytes: the service's own limit.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// Elements inside one another.
const DEPTH_MAX: usize = 32;

/// An element.
#[derive(Debug, Clone)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Self>,
    /// The text between its children, trimmed.
    pub(super) text: String,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Element {
    /// An error about this element.
    pub(super) fn wrong(&self, message: impl Into<String>) -> PolicyError {
        let (line, column, message) = (self.line, self.column, message.into());
        PolicyError { element: self.name.clone(), line, column, message, names_other: false }
    }
}

/// Reads a document: one element with what is in it.
pub(super) fn parse(text: &str) -> Result<Element, PolicyError> {
    check_length(text)?;
    let mut reader = Reader { text, at: 0 };
    reader.between()?;
    let root = reader.element(0)?;
    reader.between()?;
    if reader.rest().is_empty() { Ok(root) } else { Err(reader.wrong(&root.name, "expected nothing behind it")) }
}

/// Refuses a text that is longer than a document may be.
pub(super) fn check_length(text: &str) -> Result<(), PolicyError> {
    if text.len() <= DOCUMENT_BYTES_MAX {
        return Ok(());
    }
    let message = format!("a document has at most {DOCUMENT_BYTES_MAX} bytes, its named values in place");
    Err(PolicyError { element: "policies".to_owned(), line: 1, column: 1, message, names_other: false })
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn place(&self) -> (usize, usize) {
        let before = &self.text[..self.at];
        let line_begin = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_begin..].chars().count() + 1)
    }

    fn wrong(&self, element: &str, message: impl Into<String>) -> PolicyError {
        let (line, column) = self.place();
        PolicyError { element: element.to_owned(), line, column, message: message.into(), names_other: false }
    }

    fn take(&mut self, sign: &str) -> bool {
        let taken = self.rest().starts_with(sign);
        self.at += if taken { sign.len() } else { 0 };
        taken
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Skips to behind a sign.
    fn skip(&mut self, to: &str, what: &str) -> Result<(), PolicyError> {
        let end = self.rest().find(to).ok_or_else(|| self.wrong("policies", format!("{what} without its end {to}")))?;
        self.at += end + to.len();
        Ok(())
    }

    /// Skips what may stand around the document's element.
    fn between(&mut self) -> Result<(), PolicyError> {
        loop {
            self.space();
            self.take("\u{feff}");
            if self.rest().starts_with("<!--") {
                self.skip("-->", "a comment")?;
            } else if self.rest().starts_with("<?") {
                self.skip("?>", "a processing instruction")?;
            } else if self.rest().starts_with("<!") {
                return Err(self.wrong("policies", "document types are not allowed"));
            } else {
                return Ok(());
            }
        }
    }

    fn name(&mut self, of: &str) -> Result<&'t str, PolicyError> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')))
            .unwrap_or(rest.len());
        if end == 0 {
            return Err(
                self.wrong(of, format!("expected a name, found `{}`", rest.chars().take(10).collect::<String>()))
            );
        }
        self.at += end;
        Ok(&rest[..end])
    }

    fn element(&mut self, depth: usize) -> Result<Element, PolicyError> {
        let (line, column) = self.place();
        if depth > DEPTH_MAX {
            return Err(self.wrong("policies", format!("elements nested deeper than {DEPTH_MAX}")));
        }
        if !self.take("<") {
            return Err(self.wrong("policies", "expected an element"));
        }
        let name = self.name("policies")?.to_owned();
        let mut element =
            Element { name, attributes: Vec::new(), children: Vec::new(), text: String::new(), line, column };
        loop {
            self.space();
            if self.take("/>") {
                return Ok(element);
            }
            if self.take(">") {
                break;
            }
            let attribute = self.attribute(&element.name)?;
            if element.attributes.iter().any(|(known, _)| *known == attribute.0) {
                return Err(self.wrong(&element.name, format!("the attribute '{}' is there twice", attribute.0)));
            }
            element.attributes.push(attribute);
        }
        self.content(&mut element, depth)?;
        element.text = element.text.trim().to_owned();
        Ok(element)
    }

    fn content(&mut self, element: &mut Element, depth: usize) -> Result<(), PolicyError> {
        loop {
            let rest = self.rest();
            if rest.starts_with("<!--") {
                self.skip("-->", "a comment")?;
            } else if let Some(inside) = rest.strip_prefix("<![CDATA[") {
                let end = inside.find("]]>").ok_or_else(|| self.wrong(&element.name, "CDATA without its end ]]>"))?;
                element.text.push_str(&inside[..end]);
                self.at += "<![CDATA[".len() + end + "]]>".len();
            } else if self.take("</") {
                let (name, at) = (self.name(&element.name)?, self.at);
                if name != element.name {
                    self.at = at - name.len() - 2;
                    return Err(self.wrong(&element.name, format!("expected its end, found the end of '{name}'")));
                }
                self.space();
                return if self.take(">") { Ok(()) } else { Err(self.wrong(&element.name, "expected `>`")) };
            } else if rest.starts_with('<') {
                element.children.push(self.element(depth + 1)?);
            } else if rest.is_empty() {
                return Err(element.wrong("the document ends inside it"));
            } else {
                let end = text_end(rest);
                let text = self.unescaped(&element.name, &rest[..end])?;
                element.text.push_str(&text);
                self.at += end;
            }
        }
    }

    fn attribute(&mut self, element: &str) -> Result<(String, String), PolicyError> {
        let name = self.name(element)?.to_owned();
        self.space();
        if !self.take("=") {
            return Err(self.wrong(element, format!("expected `=` behind the attribute '{name}'")));
        }
        self.space();
        let quote = self.rest().chars().next().filter(|quote| matches!(quote, '"' | '\''));
        let quote = quote.ok_or_else(|| self.wrong(element, format!("expected the value of '{name}' in quotes")))?;
        self.at += 1;
        let rest = self.rest();
        let end = if rest.starts_with("@(") { expression_end(rest) } else { rest.find(quote) };
        let end = end.filter(|end| rest[*end..].starts_with(quote));
        let end = end.ok_or_else(|| self.wrong(element, format!("the value of '{name}' has no end")))?;
        let value = self.unescaped(element, &rest[..end])?;
        self.at += end + 1;
        Ok((name, value))
    }

    fn unescaped(&self, element: &str, text: &str) -> Result<String, PolicyError> {
        let (mut made, mut rest) = (String::new(), text);
        while let Some((before, behind)) = rest.split_once('&') {
            made.push_str(before);
            let wrong = || self.wrong(element, "expected `&amp;` instead of `&`");
            let (name, after) = behind.split_once(';').ok_or_else(wrong)?;
            let number = name.strip_prefix('#').and_then(|number| match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => number.parse().ok(),
            });
            made.push(match name {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                _ => number.and_then(char::from_u32).ok_or_else(wrong)?,
            });
            rest = after;
        }
        made.push_str(rest);
        Ok(made)
    }
}

/// Where a text between elements ends.
fn text_end(text: &str) -> usize {
    let inner = text.trim_start();
    let blanks = text.len() - inner.len();
    let expression = if inner.starts_with("@(") { expression_end(inner) } else { None };
    let behind = blanks + expression.unwrap_or(0);
    text[behind..].find('<').map_or(text.len(), |end| behind + end)
}

/// Where an expression that begins with `@(` ends: behind the parenthesis that closes it, outside of texts.
fn expression_end(text: &str) -> Option<usize> {
    let (mut depth, mut in_text, mut at) = (0_usize, false, 0);
    while let Some(char) = text[at..].chars().next() {
        let escaped_quote = text[at..].starts_with("&quot;");
        at += if escaped_quote { "&quot;".len() } else { char.len_utf8() };
        match char {
            '\\' if in_text => at += text[at..].chars().next().map_or(0, char::len_utf8),
            '"' => in_text = !in_text,
            _ if escaped_quote => in_text = !in_text,
            '(' if !in_text => depth += 1,
            ')' if !in_text => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}
