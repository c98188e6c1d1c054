//! Finds the place in what a client sends from which on it is held.

use super::postgres_messages::ClientMessages;

/// What a hold waits for.
#[derive(Debug)]
pub(super) enum Trigger {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The execution of a statement with this fragment, in lower case.
    Statement(String),
}

/// Follows one client's bytes and says which may pass.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    messages: ClientMessages,
    /// The end of what passed, for patterns that arrive in pieces.
    tail: Vec<u8>,
}

/// What to do with bytes that came in.
pub(super) enum Passage {
    Pass(Vec<u8>),
    /// The first may pass; the second are held, and belong to the hold of this index.
    Hold(Vec<u8>, Vec<u8>, usize),
}

impl Watcher {
    /// Looks at the next bytes of the client. `is_postgres` cuts the stream at messages: a partial one waits for its rest.
    pub(super) fn look<'t>(&mut self, bytes: &[u8], triggers: impl Iterator<Item = &'t Trigger> + Clone) -> Passage {
        let statements: Vec<(usize, &str)> = triggers
            .clone()
            .enumerate()
            .filter_map(|(i, t)| if let Trigger::Statement(s) = t { Some((i, s.as_str())) } else { None })
            .collect();
        let before = bytes.len();
        if let Some((at, index)) = self.messages.feed(bytes, &statements) {
            // A message that began in an earlier read has passed in part: the server waits for its end, which is what counts.
            let at = at.min(before);
            return Passage::Hold(bytes[..at].to_vec(), bytes[at..].to_vec(), index);
        }
        let mut seen = std::mem::take(&mut self.tail);
        let passed = seen.len();
        seen.extend_from_slice(bytes);
        for (index, trigger) in triggers.enumerate() {
            if let Trigger::Bytes(pattern) = trigger
                && let Some(at) = seen.windows(pattern.len().max(1)).position(|window| window == pattern)
            {
                let at = at.saturating_sub(passed);
                return Passage::Hold(bytes[..at].to_vec(), bytes[at..].to_vec(), index);
            }
        }
        const LONGEST_PATTERN: usize = 256;
        self.tail = seen.split_off(seen.len().saturating_sub(LONGEST_PATTERN));
        Passage::Pass(bytes.to_vec())
    }
}
