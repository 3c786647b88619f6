//! Encodings of an answer that is arriving: each is made once, for all who read along and take it, and
//! stored beside the answer when both are whole.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use forebay_signals::clock;

use super::pour::pour;
use crate::cache::Head;
use crate::cache::fill::{FillLead, FillReader, Keep, Settlement};
use crate::compress::{Compressor, Shared, encoded_fields};
use crate::edge::Edge;
use crate::exchange::{Body, Encoding};

/// Time between the last byte of an answer and the moment that it is stored.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// Where one reader's way may leave that of the others.
pub(super) struct Branch {
    edge: Arc<Edge>,
    head: Arc<Head>,
    settlement: Settlement<Head>,
}

impl Branch {
    pub(super) fn new(edge: &Arc<Edge>, head: &Arc<Head>, reader: &FillReader<Head>) -> Branch {
        let (edge, head) = (Arc::clone(edge), Arc::clone(head));
        Branch { edge, head, settlement: reader.settlement() }
    }

    /// The encoding of the answer that `body` reads: another's, if somebody has it made already. Gives
    /// the body back if there is no room for an encoder.
    pub(super) fn encoded(
        self,
        compressor: &Compressor,
        body: Body,
        encoding: Encoding,
    ) -> Result<Body, Body> {
        let Head::Arriving { branches, grant: Ok((freshness, _)), .. } = &*self.head else {
            return compressor.stream(body, encoding, Shared::No);
        };
        let keep = if freshness.is_usable_on_arrival() { Keep::Store } else { Keep::StoreForAsker };
        // Held while the encoder is made: whoever comes meanwhile joins it.
        let mut made = branches.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, joiner)) = made.iter().find(|(of, _)| *of == encoding) {
            return match joiner.join() {
                Some(reader) => Ok(Body::stream(reader)),
                // It became too large to be held from its beginning, or broke off.
                None => compressor.stream(body, encoding, Shared::No),
            };
        }
        let body = compressor.stream(body, encoding, Shared::Yes)?;
        let (mut lead, reader, joiner) = self.edge.cache.encoded.apart(b"");
        lead.head(Arc::new(()), keep, None);
        made.push((encoding, joiner));
        drop(made);
        tokio::spawn(self.run(body, lead, encoding));
        Ok(Body::stream(reader))
    }

    /// Moves what the encoder makes to its readers, and into the store.
    async fn run(self, body: Body, mut lead: FillLead<()>, encoding: Encoding) {
        let Some(ended) = pour(body, &mut lead).await else { return };
        let trailers = match ended {
            Ok(trailers) => trailers,
            Err(error) => return lead.fail(&error),
        };
        // The answer itself is stored first. Until it is, nothing can stand beside it.
        let reached = clock::timeout(STORE_PATIENCE, self.settlement.reached()).await;
        let finished = lead.finish(trailers, |pieces| {
            reached.ok()?;
            self.store(pieces, encoding)
        });
        if let Err(error) = finished {
            tracing::debug!(%error, "encoding not finished");
        }
    }

    fn store(&self, pieces: &[Bytes], encoding: Encoding) -> Option<Bytes> {
        let Head::Arriving { branches, .. } = &*self.head else { return None };
        let object = branches.stored.get()?;
        let length: usize = pieces.iter().map(Bytes::len).sum();
        if !Compressor::is_worth(object.body_len(), length as u64) {
            return None;
        }
        let fields = encoded_fields(&object.fields(), encoding);
        let encoded = object.in_encoding(encoding, &fields, pieces);
        match self.edge.cache.memory.insert_encoded(object, encoded.ok()?) {
            Ok(stored) => Some(stored.body()),
            Err(refused) => {
                tracing::debug!(%refused, "encoding not stored");
                None
            }
        }
    }
}
