//! Just enough of Postgres's frontend protocol (version 3) to know which statement a client executes.
//!
//! Source: PostgreSQL documentation, "Message Formats". A message is a type byte and a length that counts itself; the first ones of a
//! connection (`SSLRequest`, `StartupMessage`) have no type byte.

use std::collections::HashMap;

/// `SSLRequest`, `GSSENCRequest`: the server answers and the client starts again.
const NEGOTIATIONS: [u32; 2] = [80_877_103, 80_877_104];

/// The messages of one client so far.
#[derive(Debug, Default)]
pub(super) struct ClientMessages {
    started: bool,
    /// A client that does not begin like one of Postgres is not followed.
    foreign: bool,
    partial: Vec<u8>,
    /// Prepared statements by name, in lower case.
    statements: HashMap<Vec<u8>, String>,
}

impl ClientMessages {
    /// Takes the next bytes. Where a message begins to execute one of `wanted`, returns the offset of its first byte within `bytes` (0 where it
    /// began earlier) and which one.
    pub(super) fn feed(&mut self, bytes: &[u8], wanted: &[(usize, &str)]) -> Option<(usize, usize)> {
        if self.foreign {
            return None;
        }
        let earlier = self.partial.len();
        self.partial.extend_from_slice(bytes);
        let mut at = 0;
        let mut found = None;
        while let Some((kind, body, next)) = self.message(at) {
            if found.is_none()
                && let Some(index) = self.executes(kind, &body, wanted)
            {
                found = Some((at.saturating_sub(earlier), index));
            }
            at = next;
        }
        self.partial.drain(..at);
        found
    }

    /// Returns the complete message at an offset: its type (0 for those without), its body, where the next one begins.
    fn message(&mut self, at: usize) -> Option<(u8, Vec<u8>, usize)> {
        let head = usize::from(self.started);
        let length = self.partial.get(at + head..at + head + 4)?;
        let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
        if length < 4 || !self.started && length > 10_000 {
            self.foreign = true;
            return None;
        }
        let end = at + head + length;
        let body = self.partial.get(at + head + 4..end)?.to_vec();
        let kind = if self.started { self.partial[at] } else { 0 };
        if !self.started {
            let code = body.get(..4).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes);
            self.started = !code.is_some_and(|code| NEGOTIATIONS.contains(&code));
        }
        Some((kind, body, end))
    }

    fn executes(&mut self, kind: u8, body: &[u8], wanted: &[(usize, &str)]) -> Option<usize> {
        let mut texts = body.split(|byte| *byte == 0);
        let lower = |text: &[u8]| String::from_utf8_lossy(text).to_lowercase();
        let sql = match kind {
            // Query: the statement.
            b'Q' => lower(texts.next()?),
            // Parse: the statement's name, the statement.
            b'P' => {
                let name = texts.next()?.to_vec();
                let sql = lower(texts.next()?);
                self.statements.insert(name, sql);
                return None;
            }
            // Bind: the portal's name, the statement's. Clients send Execute right after it.
            b'B' => self.statements.get(texts.nth(1)?)?.clone(),
            _ => return None,
        };
        wanted.iter().find(|(_, fragment)| sql.contains(fragment)).map(|(index, _)| *index)
    }
}

/// Returns whether a stretch of the server's bytes ends a cycle: `ReadyForQuery` is its last message. Partial messages are kept in `pending`.
pub(super) fn is_ready(pending: &mut Vec<u8>, bytes: &[u8]) -> bool {
    pending.extend_from_slice(bytes);
    let mut ready = false;
    loop {
        let Some(length) = pending.get(1..5) else { return ready };
        let length = length.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
        if pending.len() < length + 1 {
            return ready;
        }
        ready = pending[0] == b'Z';
        pending.drain(..=length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn started() -> ClientMessages {
        ClientMessages { started: true, ..ClientMessages::default() }
    }

    #[test]
    fn preparing_is_no_execution_and_binding_is() {
        let mut client = started();
        let wanted = [(3, "update jobs")];
        assert_eq!(client.feed(&message(b'P', b"s1\0UPDATE jobs SET a = $1\0\0\0"), &wanted), None);
        let sync = message(b'S', b"");
        let both = [sync.clone(), message(b'B', b"\0s1\0\0\0")].concat();
        assert_eq!(client.feed(&both, &wanted), Some((sync.len(), 3)));
    }

    #[test]
    fn a_message_in_pieces_is_found_when_it_is_complete() {
        let mut client = started();
        let query = message(b'Q', b"COMMIT\0");
        let (first, second) = query.split_at(4);
        assert_eq!(client.feed(first, &[(0, "commit")]), None);
        assert_eq!(client.feed(second, &[(0, "commit")]), Some((0, 0)));
    }

    #[test]
    fn the_start_of_a_connection_has_no_type_byte() {
        let mut client = ClientMessages::default();
        let ssl = [8u32.to_be_bytes(), 80_877_103u32.to_be_bytes()].concat();
        let startup = [12u32.to_be_bytes(), 196_608u32.to_be_bytes(), [0; 4]].concat();
        assert_eq!(client.feed(&ssl, &[(0, "x")]), None);
        assert_eq!(client.feed(&[startup, message(b'Q', b"SELECT x\0")].concat(), &[(0, "x")]), Some((12, 0)));
    }
}
