//! Listen: sockets to requests.

pub mod http1;
