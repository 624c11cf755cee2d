//! The encoding of state in checkpoints: numbers of eight bytes, big end first; bytes behind their length.

/// Writes state.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

/// The bytes are no state of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoint cannot be read: it was written by another version or for another query")]
pub struct StateError;

impl Writer {
    pub(crate) fn int(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn float(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_bits().to_be_bytes());
    }

    pub(crate) fn count(&mut self, value: usize) {
        self.0.extend_from_slice(&(value as u64).to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Values behind how many they are.
    pub(crate) fn list<'v>(&mut self, values: impl ExactSizeIterator<Item = &'v Box<[u8]>>) {
        self.count(values.len());
        values.for_each(|value| self.bytes(value));
    }
}

/// Reads state.
pub(crate) struct Reader<'r>(pub(crate) &'r [u8]);

impl<'r> Reader<'r> {
    fn eight(&mut self) -> Result<[u8; 8], StateError> {
        let (taken, rest) = self.0.split_first_chunk::<8>().ok_or(StateError)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn int(&mut self) -> Result<i64, StateError> {
        self.eight().map(i64::from_be_bytes)
    }

    pub(crate) fn float(&mut self) -> Result<f64, StateError> {
        Ok(f64::from_bits(u64::from_be_bytes(self.eight()?)))
    }

    /// A count; never more than there are bytes left, so that broken state makes no endless loop.
    pub(crate) fn count(&mut self) -> Result<usize, StateError> {
        let count = u64::from_be_bytes(self.eight()?);
        usize::try_from(count).ok().filter(|&count| count <= self.0.len() + 1).ok_or(StateError)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'r [u8], StateError> {
        let length = self.count()?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(StateError)?;
        self.0 = rest;
        Ok(taken)
    }

    /// What [`Writer::list`] wrote, value by value.
    pub(crate) fn list(&mut self, mut each: impl FnMut(&'r [u8])) -> Result<(), StateError> {
        for _ in 0..self.count()? {
            each(self.bytes()?);
        }
        Ok(())
    }
}
