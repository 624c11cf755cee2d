//! What most requests and answers are made of: things by topic and partition.

use crate::wire::{DecodeError, Reader, Writer};

/// Things of a topic's partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfTopic<T> {
    /// The topic.
    pub name: String,
    /// Something for each partition.
    pub partitions: Vec<T>,
}

impl<T> OfTopic<T> {
    /// Reads topics whose partitions are structures.
    pub fn read(
        fields: &mut Reader,
        mut partition: impl FnMut(&mut Reader) -> Result<T, DecodeError>,
    ) -> Result<Vec<Self>, DecodeError> {
        fields.array(|fields| {
            let name = fields.string()?;
            let partitions = fields.array(|fields| {
                let read = partition(fields)?;
                fields.tags()?;
                Ok(read)
            })?;
            fields.tags()?;
            Ok(Self { name, partitions })
        })
    }

    /// Writes topics whose partitions are structures.
    pub fn write(topics: &[Self], out: &mut Writer, mut partition: impl FnMut(&mut Writer, &T)) {
        out.array(topics, |out, topic| {
            out.string(&topic.name);
            out.array(&topic.partitions, |out, item| {
                partition(out, item);
                out.tags();
            });
            out.tags();
        });
    }
}

impl OfTopic<i32> {
    /// Reads topics of whose partitions only the numbers stand there; `None` for null, which means all topics.
    pub fn read_numbers_or_null(fields: &mut Reader) -> Result<Option<Vec<Self>>, DecodeError> {
        fields.nullable_array(|fields| {
            let read = Self { name: fields.string()?, partitions: fields.array(Reader::i32)? };
            fields.tags()?;
            Ok(read)
        })
    }
}
