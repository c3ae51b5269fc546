//! Cuts a connection's bytes into frames. Owning core only; pure. Invariant: nothing is allocated for a frame before its
//! length was judged, and then admitted by whoever calls.

use bytes::{Buf, Bytes, BytesMut};

use crate::wire::{FrameError, PREFIX_BYTES, frame_len};

/// Bytes of a large frame's buffer that are cleared for the next reads.
const STEP_BYTES: usize = 256 * 1024;

/// What the bytes hold next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A whole frame, without its length.
    Frame(Bytes),
    /// The first bytes of a frame of this length; call [`Frames::begin`] once there is memory for it.
    Partial(usize),
    /// Nothing, or less than a length.
    Nothing,
}

/// The position of one connection in its stream of frames.
pub struct Frames {
    bytes_max: usize,
    prefix: [u8; PREFIX_BYTES],
    prefix_filled: usize,
    body: Option<Body>,
}

struct Body {
    len: usize,
    /// Has room for all of the frame, and is cleared a step at a time: clearing 100 MiB at once takes a tenth of a second.
    buffer: BytesMut,
    filled: usize,
}

impl Frames {
    /// `bytes_max` is the longest frame that is taken.
    pub fn new(bytes_max: usize) -> Frames {
        Frames { bytes_max, prefix: [0; PREFIX_BYTES], prefix_filled: 0, body: None }
    }

    /// Takes the next frame from the front of `chunk`. Not while a partial frame is open. Produce requests of at least
    /// `shared_bytes_min` stay where they were read, so that their records are not copied. All else is copied out of the block: it is
    /// small, and a request that waits must not keep a whole block from its next use.
    pub fn next(&mut self, chunk: &mut Bytes, shared_bytes_min: usize) -> Result<Next, FrameError> {
        let missing = PREFIX_BYTES - self.prefix_filled;
        if chunk.len() < missing {
            let filled = self.prefix_filled + chunk.len();
            if let Some(into) = self.prefix.get_mut(self.prefix_filled..filled) {
                chunk.copy_to_slice(into);
            }
            self.prefix_filled = filled;
            return Ok(Next::Nothing);
        }
        if let Some(into) = self.prefix.get_mut(self.prefix_filled..) {
            chunk.copy_to_slice(into);
        }
        self.prefix_filled = 0;
        let len = frame_len(self.prefix, self.bytes_max)?;
        if chunk.len() < len {
            return Ok(Next::Partial(len));
        }
        let frame = chunk.split_to(len);
        let stays = frame.len() >= shared_bytes_min && is_produce(&frame);
        Ok(Next::Frame(if stays { frame } else { Bytes::copy_from_slice(&frame) }))
    }

    /// Opens the partial frame of `len` bytes that starts with all of `chunk`.
    pub fn begin(&mut self, len: usize, chunk: &mut Bytes) {
        debug_assert!(chunk.len() < len, "a whole frame is not partial");
        let mut buffer = BytesMut::with_capacity(len);
        buffer.extend_from_slice(&std::mem::take(chunk));
        self.body = Some(Body { len, filled: buffer.len(), buffer });
    }

    /// Where the rest of the partial frame goes, if one is open; never empty.
    pub fn space(&mut self) -> Option<&mut [u8]> {
        let body = self.body.as_mut()?;
        if body.filled == body.buffer.len() {
            body.buffer.resize(body.len.min(body.filled + STEP_BYTES), 0);
        }
        body.buffer.get_mut(body.filled..)
    }

    /// `read` bytes were put at the front of [`Frames::space`]: the frame, if that completes it.
    pub fn filled(&mut self, read: usize) -> Option<Bytes> {
        let body = self.body.as_mut()?;
        body.filled += read;
        if body.filled < body.len {
            return None;
        }
        self.body.take().map(|body| body.buffer.freeze())
    }

    /// A frame, or the length of one, has begun and is not whole: how many bytes of it are there.
    pub fn partial_bytes(&self) -> Option<usize> {
        match &self.body {
            Some(body) => Some(PREFIX_BYTES + body.filled),
            None => (self.prefix_filled > 0).then_some(self.prefix_filled),
        }
    }
}

/// Produce has key 0, in the first two bytes of the header.
fn is_produce(frame: &Bytes) -> bool {
    frame.starts_with(&[0, 0])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHARED: usize = 8 * 1024;

    fn framed(body: &[u8]) -> Vec<u8> {
        let len = i32::try_from(body.len()).expect("a test's frame is small");
        [&len.to_be_bytes(), body].concat()
    }

    /// Feeds the stream in pieces of the given sizes, repeated.
    fn cut(stream: &[u8], pieces: &[usize]) -> Vec<Bytes> {
        let mut frames = Frames::new(1 << 20);
        let mut out = Vec::new();
        let mut rest = stream;
        let mut sizes = pieces.iter().cycle();
        while !rest.is_empty() {
            let size = sizes.next().copied().unwrap_or(1).clamp(1, rest.len());
            if let Some(space) = frames.space() {
                let size = size.min(space.len());
                space[..size].copy_from_slice(&rest[..size]);
                rest = &rest[size..];
                out.extend(frames.filled(size));
                continue;
            }
            let mut chunk = Bytes::copy_from_slice(&rest[..size]);
            rest = &rest[size..];
            loop {
                match frames.next(&mut chunk, SHARED).expect("good lengths") {
                    Next::Frame(frame) => out.push(frame),
                    Next::Partial(len) => frames.begin(len, &mut chunk),
                    Next::Nothing => break,
                }
                if frames.space().is_some() {
                    break;
                }
            }
        }
        assert_eq!(frames.partial_bytes(), None);
        out
    }

    proptest! {
        #[test]
        fn frames_are_the_same_however_the_stream_is_cut(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..12),
            pieces in prop::collection::vec(1usize..50, 1..8),
        ) {
            let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
            prop_assert_eq!(cut(&stream, &pieces), bodies);
        }
    }

    #[test]
    fn a_large_frame_is_cleared_a_step_at_a_time() {
        let body: Vec<u8> = (0..700_000u32).map(|n| (n % 251) as u8).collect();
        assert_eq!(cut(&framed(&body), &[100_000, 3]), [body]);
        let mut frames = Frames::new(100 << 20);
        frames.begin(100 << 20, &mut Bytes::from_static(b"x"));
        assert_eq!(frames.space().map(|space| space.len()), Some(STEP_BYTES));
        assert_eq!(frames.partial_bytes(), Some(PREFIX_BYTES + 1));
    }

    #[test]
    fn a_length_that_is_zero_negative_or_above_the_limit_is_refused_before_any_memory_is_taken() {
        for (len, error) in [
            (0i32, FrameError::NotPositive(0)),
            (-1, FrameError::NotPositive(-1)),
            (i32::MIN, FrameError::NotPositive(i32::MIN)),
            (101, FrameError::TooLarge { bytes: 101, bytes_max: 100 }),
            (i32::MAX, FrameError::TooLarge { bytes: i32::MAX as usize, bytes_max: 100 }),
        ] {
            let mut frames = Frames::new(100);
            assert_eq!(frames.next(&mut Bytes::copy_from_slice(&len.to_be_bytes()), SHARED), Err(error));
        }
    }

    #[test]
    fn a_large_produce_request_shares_the_block_and_all_else_is_copied_out_of_it() {
        let produce = framed(&vec![0; SHARED]);
        let small = framed(&vec![0; SHARED - 1]);
        let other = framed(&vec![1; SHARED]);
        let mut chunk = Bytes::from([produce, small, other].concat());
        let memory = chunk.as_ptr_range();
        let mut frames = Frames::new(1 << 20);
        let Ok(Next::Frame(first)) = frames.next(&mut chunk, SHARED) else { panic!("a whole frame") };
        assert!(memory.contains(&first.as_ptr()));
        for _ in 0..2 {
            let Ok(Next::Frame(other)) = frames.next(&mut chunk, SHARED) else { panic!("a whole frame") };
            assert!(!memory.contains(&other.as_ptr()));
        }
    }
}
