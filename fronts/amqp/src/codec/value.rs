//! A value of any AMQP type (part 1.6). Strings and binaries share the buffer they came in.

use bytes::Bytes;

use super::Text;

/// A value.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // The names are the standard's own.
pub enum Value {
    Null,
    Bool(bool),
    Ubyte(u8),
    Ushort(u16),
    Uint(u32),
    Ulong(u64),
    Byte(i8),
    Short(i16),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    /// Kept as its bytes: nothing here calculates with it.
    Decimal32([u8; 4]),
    /// As [`Value::Decimal32`].
    Decimal64([u8; 8]),
    /// As [`Value::Decimal32`].
    Decimal128([u8; 16]),
    Char(char),
    /// Milliseconds since 1970.
    Timestamp(i64),
    Uuid([u8; 16]),
    Binary(Bytes),
    String(Text),
    Symbol(Text),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Array(Array),
    /// A descriptor and the value that it gives a meaning to.
    Described(Box<Value>, Box<Value>),
}

/// Values of one type.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Array(Vec<Value>);

impl Array {
    /// An array; `None` when the values are not all of one type (and, if described, under one descriptor).
    #[must_use]
    pub fn new(values: Vec<Value>) -> Option<Self> {
        values.windows(2).all(|pair| pair[0].same_type(&pair[1])).then_some(Self(values))
    }

    /// An array of strings.
    #[must_use]
    pub fn strings(texts: impl IntoIterator<Item = String>) -> Self {
        Self(texts.into_iter().map(|text| Value::String(text.into())).collect())
    }

    /// An array of symbols.
    #[must_use]
    pub fn symbols(texts: impl IntoIterator<Item = Text>) -> Self {
        Self(texts.into_iter().map(Value::Symbol).collect())
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.0
    }
}

impl Value {
    /// A string.
    #[must_use]
    pub fn string(text: impl Into<Text>) -> Self {
        Self::String(text.into())
    }

    /// A symbol.
    #[must_use]
    pub fn symbol(text: impl Into<Text>) -> Self {
        Self::Symbol(text.into())
    }

    /// A string's or symbol's text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Symbol(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// A whole number of any width.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        match *self {
            Self::Ubyte(value) => Some(value.into()),
            Self::Ushort(value) => Some(value.into()),
            Self::Uint(value) => Some(value.into()),
            Self::Ulong(value) => i64::try_from(value).ok(),
            Self::Byte(value) => Some(value.into()),
            Self::Short(value) => Some(value.into()),
            Self::Int(value) => Some(value.into()),
            Self::Long(value) | Self::Timestamp(value) => Some(value),
            _ => None,
        }
    }

    /// A map's value under a key that is this string or symbol.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value),
            _ => None,
        }
    }

    fn same_type(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Described(left, inner), Self::Described(right, other)) => left == right && inner.same_type(other),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}
