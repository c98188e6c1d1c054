//! Decodes a stream of server-sent events, as the WHATWG's HTML standard defines it, from any split of its bytes.
//!
//! Lines end with LF, CR LF or CR. The last event counts without the empty line behind it: some servers leave it out.

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its name; empty without one.
    pub name: String,
    /// Its data lines, joined with LF.
    pub data: String,
}

/// An event that is larger than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Decodes events. Holds one event at most.
#[derive(Debug)]
pub(crate) struct EventDecoder {
    max_event_bytes: usize,
    line: Vec<u8>,
    name: String,
    /// `None` before the first data line: an event without data does not count.
    data: Option<String>,
    after_cr: bool,
    is_first_line: bool,
}

impl EventDecoder {
    pub(crate) fn new(max_event_bytes: usize) -> Self {
        Self {
            max_event_bytes,
            line: Vec::new(),
            name: String::new(),
            data: None,
            after_cr: false,
            is_first_line: true,
        }
    }

    /// Decodes a part of the stream. Returns the events that end in it.
    ///
    /// # Errors
    /// A line or an event is larger than allowed.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, TooLarge> {
        let mut events = Vec::new();
        if self.after_cr && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            self.after_cr = false;
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.extend(&bytes[..end])?;
            let is_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            self.after_cr = is_cr && bytes.is_empty();
            if is_cr {
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
            events.extend(self.end_line()?);
        }
        self.extend(bytes)?;
        Ok(events)
    }

    /// Ends the stream. Returns the event that no empty line ended.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(crate) fn finish(&mut self) -> Result<Option<Event>, TooLarge> {
        let last = if self.line.is_empty() { None } else { self.end_line()? };
        Ok(last.or_else(|| self.end_event()))
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        let data = self.data.as_ref().map_or(0, String::len);
        if self.line.len() + bytes.len() + data > self.max_event_bytes {
            return Err(TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<Event>, TooLarge> {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        let line = if std::mem::take(&mut self.is_first_line) { line.trim_start_matches('\u{feff}') } else { &line };
        if line.is_empty() {
            return Ok(self.end_event());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) if data.len() + value.len() >= self.max_event_bytes => return Err(TooLarge),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "event" => value.clone_into(&mut self.name),
            // A comment has no field, and an id or a time to reconnect means nothing here.
            _ => {}
        }
        Ok(None)
    }

    fn end_event(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        self.data.take().map(|data| Event { name, data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Event>, TooLarge> {
        let mut decoder = EventDecoder::new(1000);
        let mut events = Vec::new();
        for part in parts {
            events.extend(decoder.push(part)?);
        }
        events.extend(decoder.finish()?);
        Ok(events)
    }

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_are_read_with_every_end_of_line() {
        for end in ["\n", "\r\n", "\r"] {
            let text = [
                "\u{feff}: a comment",
                "event: first",
                "data: 1",
                "data:2",
                "id: 7",
                "",
                "data",
                "",
                "",
                "event: none",
                "",
                "data: last",
            ];
            let events = decode([text.join(end).as_bytes()]).unwrap();
            assert_eq!(events, [event("first", "1\n2"), event("", ""), event("", "last")], "{end:?}");
        }
    }

    #[test]
    fn a_line_and_an_event_are_bounded() {
        let line = format!("data: {}", "x".repeat(1000));
        assert_eq!(decode([line.as_bytes()]), Err(TooLarge));
        assert_eq!(decode([&b": "[..], &[b'x'; 1000]]), Err(TooLarge));
        let lines = "data: 12345678\n".repeat(200);
        assert_eq!(decode([lines.as_bytes()]), Err(TooLarge));
        let events = "data: 12345678\n\n".repeat(200);
        assert_eq!(decode([events.as_bytes()]).unwrap().len(), 200);
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            "data: ?[a-zж\u{1f600}:{}\" ]{0,12}",
            "event: ?[a-z.]{0,5}",
            ":[a-z ]{0,5}",
            "[a-z]{0,5}",
            Just(String::new())
        ];
        let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
        prop::collection::vec((line, end), 0..20)
            .prop_map(|lines| lines.into_iter().flat_map(|(line, end)| format!("{line}{end}").into_bytes()).collect())
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_events(bytes in stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let parts = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(decode(parts), decode([&bytes[..]]));
            prop_assert_eq!(decode(bytes.chunks(1)), decode([&bytes[..]]));
        }

        #[test]
        fn any_bytes_are_decoded(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            decode([&bytes[..]]).expect("below the bound");
        }
    }
}
