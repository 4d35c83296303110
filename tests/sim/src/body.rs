//! The body of an answer, which may stop in the middle.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

const CHUNK: usize = 64 * 1024;

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With its last byte.
    Whole,
    /// Never: nothing more comes.
    Hang,
    /// By closing the connection.
    Drop,
}

/// Bytes to send, or a number of zeros, and the end.
#[derive(Debug)]
pub(crate) struct SimBody {
    bytes: Bytes,
    filler: u64,
    end: End,
}

/// The connection was closed on purpose.
#[derive(Debug)]
pub(crate) struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

impl SimBody {
    pub(crate) fn new(bytes: impl Into<Bytes>) -> SimBody {
        SimBody { bytes: bytes.into(), filler: 0, end: End::Whole }
    }

    /// Only the first half of the bytes, then this end.
    pub(crate) fn half(bytes: &Bytes, end: End) -> SimBody {
        SimBody { bytes: bytes.slice(..bytes.len() / 2), filler: 0, end }
    }

    /// This many blanks.
    pub(crate) fn huge(length: u64) -> SimBody {
        SimBody { bytes: Bytes::new(), filler: length, end: End::Whole }
    }
}

impl Body for SimBody {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        if !self.bytes.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.bytes)))));
        }
        if self.filler > 0 {
            let count = CHUNK.min(usize::try_from(self.filler).unwrap_or(CHUNK));
            self.filler -= count as u64;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b' '; count])))));
        }
        match self.end {
            End::Whole => Poll::Ready(None),
            End::Hang => Poll::Pending,
            End::Drop => Poll::Ready(Some(Err(Dropped))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.filler == 0 && self.end == End::Whole
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.bytes.len() as u64 + self.filler;
        if self.end == End::Whole { SizeHint::with_exact(length) } else { SizeHint::new() }
    }
}
