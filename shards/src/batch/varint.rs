//! Zigzag varints, as records use them. Pure.

/// Reads a varint of at most five bytes; `None` when it does not end in time.
pub fn read_i32(bytes: &mut &[u8]) -> Option<i32> {
    let raw = read(bytes, 5)?;
    let raw = u32::try_from(raw).ok()?;
    Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Reads a varint of at most ten bytes.
pub fn read_i64(bytes: &mut &[u8]) -> Option<i64> {
    let raw = read(bytes, 10)?;
    Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

fn read(bytes: &mut &[u8], bytes_max: u32) -> Option<u64> {
    let mut value = 0u64;
    for index in 0..bytes_max {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

pub fn write_i32(out: &mut Vec<u8>, value: i32) {
    write(out, u64::from(((value << 1) ^ (value >> 31)).cast_unsigned()));
}

pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    write(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

fn write(out: &mut Vec<u8>, mut raw: u64) {
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}
