//! Where a `101` leads.

use tokio::io::{AsyncRead, AsyncWrite};

/// What an upgraded connection is: bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// The origin's side of an upgraded connection; what was read with the answer's head comes first.
pub type Upgraded = Box<dyn Stream>;
