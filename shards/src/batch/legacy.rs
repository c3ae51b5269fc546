//! Messages of formats 0 and 1, which Kafka wrote before 0.11: known as such, never read. Pure.
//!
//! Invariant: only a whole message with the right checksum counts, so that damage to a batch is not taken for one.

use flate2::Crc;

use super::header::LOG_OVERHEAD_BYTES;

/// Behind offset and length: CRC, format, attributes, lengths of key and value.
const MESSAGE_BYTES_MIN: usize = 14;
const CRC_BYTES: usize = 4;
/// Where the format stands, as in a batch, and the first byte that the CRC covers.
const FORMAT_AT: usize = LOG_OVERHEAD_BYTES + CRC_BYTES;

/// Bytes of the message of format 0 or 1 that begins with `head`, if it says of itself that it is one.
pub fn legacy_bytes(head: &[u8]) -> Option<usize> {
    let length = head.get(8..LOG_OVERHEAD_BYTES)?.first_chunk().map(|length| i32::from_be_bytes(*length))?;
    let length = usize::try_from(length).ok().filter(|length| *length >= MESSAGE_BYTES_MIN)?;
    (*head.get(FORMAT_AT)? < 2).then_some(LOG_OVERHEAD_BYTES + length)
}

/// The format of `message`, all bytes of one.
pub fn legacy_format(message: &[u8]) -> Option<u8> {
    let message = message.get(..legacy_bytes(message)?)?;
    let kept = message.get(LOG_OVERHEAD_BYTES..FORMAT_AT)?.first_chunk().map(|crc| u32::from_be_bytes(*crc))?;
    let mut crc = Crc::new();
    crc.update(message.get(FORMAT_AT..)?);
    (crc.sum() == kept).then_some(*message.get(FORMAT_AT)?)
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, NewRecord};
    use super::*;

    /// A message of Kafka 0.10's format 1, of one byte: offset 7, length, CRC, format, attributes, time, key, value.
    const MESSAGE: [u8; 35] = [
        0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 23, 0xc1, 0x67, 0x2a, 0xc5, 1, 0, 0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0, 255,
        255, 255, 255, 0, 0, 0, 1, b'v',
    ];

    #[test]
    fn a_message_is_known_by_its_format_and_its_crc() {
        assert_eq!((legacy_bytes(&MESSAGE[..17]), legacy_format(&MESSAGE)), (Some(35), Some(1)));
        assert_eq!(legacy_format(&[&MESSAGE[..], b"more"].concat()), Some(1), "what follows is another's");
        assert_eq!(legacy_format(&MESSAGE[..34]), None);
        let mut wrong = MESSAGE;
        wrong[34] ^= 1;
        assert_eq!(legacy_format(&wrong), None);
    }

    #[test]
    fn a_batch_whose_format_was_damaged_is_none() {
        let mut builder = BatchBuilder::new(1);
        builder.push(&NewRecord { value: Some(b"v"), ..NewRecord::default() });
        let mut batch = builder.finish().expect("a batch").to_vec();
        assert_eq!(legacy_bytes(&batch), None);
        for format in [0, 1] {
            batch[FORMAT_AT] = format;
            assert_eq!((legacy_bytes(&batch), legacy_format(&batch)), (Some(batch.len()), None));
        }
        assert_eq!((legacy_bytes(&[0; 61]), legacy_bytes(&batch[..11])), (None, None));
    }
}
