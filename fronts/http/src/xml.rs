//! XML documents as the older protocols of every cloud answer them: written element by element. Pure; reads nothing.

use bytes::Bytes;

/// An element while its content is written.
pub struct Element {
    out: String,
}

/// A whole document: its root's name and attributes, and who writes its content.
pub fn document(root: &str, attributes: &[(&str, &str)], content: impl FnOnce(&mut Element)) -> Bytes {
    let mut element = Element { out: String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><") };
    element.out.push_str(root);
    for (name, value) in attributes {
        element.out.push(' ');
        element.out.push_str(name);
        element.out.push_str("=\"");
        element.escape(value);
        element.out.push('"');
    }
    element.out.push('>');
    content(&mut element);
    element.end(root);
    Bytes::from(element.out)
}

impl Element {
    /// A child with text.
    pub fn text(&mut self, name: &str, text: &str) {
        self.begin(name);
        self.escape(text);
        self.end(name);
    }

    /// A child with text, when there is one.
    pub fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// A child with children.
    pub fn child(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.begin(name);
        content(self);
        self.end(name);
    }

    fn begin(&mut self, name: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
    }

    fn end(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// Text as an element or an attribute may hold it. Characters that XML 1.0 cannot hold at all become U+FFFD.
    fn escape(&mut self, text: &str) {
        for char in text.chars() {
            match char {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                '\r' => self.out.push_str("&#xD;"),
                '\n' | '\t' => self.out.push(char),
                control if control.is_control() || matches!(control, '\u{FFFE}' | '\u{FFFF}') => {
                    self.out.push('\u{FFFD}')
                }
                other => self.out.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let written = document("R", &[("a", "\"<&")], |root| {
            root.text("T", "a<b>&\"\u{1}");
            root.child("C", |child| child.optional("none", None));
        });
        let expected = "<?xml version=\"1.0\" encoding=\"utf-8\"?><R a=\"&quot;&lt;&amp;\">\
                        <T>a&lt;b&gt;&amp;&quot;\u{FFFD}</T><C></C></R>";
        assert_eq!(written, expected.as_bytes());
    }
}
