//! Commands and their output in a page of Markdown.

/// A part of a page.
#[derive(Debug, PartialEq)]
pub enum Piece {
    Prose(String),
    Dialogue(Dialogue),
}

/// A command and its output.
#[derive(Debug, PartialEq)]
pub struct Dialogue {
    pub command: String,
    /// What the page says that it prints.
    pub output: String,
}

const BEGIN: &str = "```console";
const END: &str = "```";

/// Divides a page.
pub fn parse(page: &str) -> Vec<Piece> {
    let mut pieces = vec![Piece::Prose(String::new())];
    let mut in_block = false;
    for line in page.lines() {
        let fence = if in_block { line == END } else { line == BEGIN };
        if fence {
            in_block = !in_block;
        }
        if in_block && !fence {
            if let Some(command) = line.strip_prefix("$ ") {
                pieces.push(Piece::Dialogue(Dialogue { command: command.to_owned(), output: String::new() }));
                continue;
            }
            if let Some(Piece::Dialogue(dialogue)) = pieces.last_mut() {
                let continued = if dialogue.output.is_empty() { line.strip_prefix("> ") } else { None };
                match continued.or((line == ">" && dialogue.output.is_empty()).then_some("")) {
                    Some(command) => dialogue.command.extend(["\n", command]),
                    None => dialogue.output.extend([line, "\n"]),
                }
                continue;
            }
        }
        match pieces.last_mut() {
            Some(Piece::Prose(prose)) => prose.extend([line, "\n"]),
            _ => pieces.push(Piece::Prose(format!("{line}\n"))),
        }
    }
    pieces
}

/// Returns the page again.
pub fn written(pieces: &[Piece]) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Prose(prose) => prose.clone(),
        Piece::Dialogue(Dialogue { command, output }) => {
            let lines: Vec<_> = output.lines().filter(|line| !is_of_cargo(line)).map(str::trim_end).collect();
            let output: String = lines.join("\n").trim_matches('\n').lines().map(|line| format!("{line}\n")).collect();
            let mut lines = command.lines();
            let first = lines.next().unwrap_or_default();
            let others: String = lines.map(|line| format!("{}\n", format!("> {line}").trim_end())).collect();
            format!("$ {first}\n{others}{output}")
        }
    };
    pieces.iter().map(text).collect()
}

/// Returns whether two outputs say the same, however fast and large it was.
pub fn alike(page: &str, printed: &str) -> bool {
    words(page) == words(printed)
}

/// Words without their numbers. What cargo compiles on the way depends on what it compiled before.
fn words(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !is_of_cargo(line));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let counts = |next: Option<&&str>| next.is_some_and(|next| COUNTED.iter().any(|counted| next.starts_with(counted)));
    let kept = words.iter().enumerate().map(|(index, word)| match counts(words.get(index + 1)) {
        true => (*word).to_owned(),
        false => without_numbers(word),
    });
    kept.filter(|word| !word.is_empty()).collect()
}

/// What is counted is the same everywhere.
const COUNTED: [&str; 7] = ["passed", "failed", "filtered", "fixture", "call", "report", "mutations"];

fn is_of_cargo(line: &str) -> bool {
    const VERBS: [&str; 9] =
        ["Compiling", "Finished", "Downloading", "Downloaded", "Locking", "Updating", "Adding", "Blocking", "Running"];
    line.starts_with(' ') && line.split_whitespace().next().is_some_and(|word| VERBS.contains(&word))
}

/// Digits, and digests, are nothing; so is a version's "nightly".
fn without_numbers(word: &str) -> String {
    let is_digest = |part: &&str| part.len() >= 12 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digest = word.split(|c: char| !c.is_ascii_hexdigit()).find(is_digest);
    let word = digest.map_or_else(|| word.to_owned(), |digest| word.replace(digest, ""));
    word.chars().filter(|c| !c.is_ascii_digit() && !".,…".contains(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "# A\n\n```console\n$ one\nout 1\n\nmore\n$ cat > f <<'END'\n> a\n>\n> END\n$ two\n```\n\nprose\n";

    #[test]
    fn a_page_is_divided_and_put_together_again() {
        let pieces = parse(PAGE);
        let dialogues: Vec<_> = pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Dialogue(dialogue) => Some((dialogue.command.as_str(), dialogue.output.as_str())),
                Piece::Prose(_) => None,
            })
            .collect();
        assert_eq!(dialogues, [("one", "out 1\n\nmore\n"), ("cat > f <<'END'\na\n\nEND", ""), ("two", "")]);
        assert_eq!(written(&pieces), PAGE);
    }

    #[test]
    fn outputs_are_alike_but_for_numbers_digests_and_what_cargo_compiles() {
        let digest = "d067a6a3dc3d4a55";
        assert!(alike(
            &format!("in 0.4 s\nsha256:{digest}…"),
            "   Compiling x v1\nin 12.1 s\nsha256:0a1b2c3d4e5f6a7b…"
        ));
        assert!(alike("a   b\n", "a b"));
        assert!(!alike("3 passed", "3 failed") && !alike("3 passed", "2 passed"));
        assert!(!alike("ok", ""));
    }
}
