//! Every status that a model or a store can answer has one class.

use std::fmt::Write;

use assay_llm as llm;
use assay_objects as objects;

#[test]
fn every_http_status_has_one_class() {
    let mut table = String::new();
    for status in 100..=599u16 {
        let model = llm::classify_status(status);
        let read = objects::classify(status, None).read_code();
        let write = objects::classify(status, None).write_code();
        let class = |code: assay_core::code::Code| format!("{code} ({})", code.class().as_str());
        writeln!(table, "{status}: model {}; read {}; write {}", class(model), class(read), class(write))
            .expect("a String takes text");
    }
    insta::assert_snapshot!(grouped(&table));
}

/// Statuses with the same classes, as ranges: what a person can read.
fn grouped(table: &str) -> String {
    let mut groups: Vec<(u16, u16, &str)> = Vec::new();
    for line in table.lines() {
        let (status, classes) = line.split_once(": ").expect("status and classes");
        let status = status.parse().expect("a status");
        match groups.last_mut() {
            Some((_, last, same)) if *same == classes && *last + 1 == status => *last = status,
            _ => groups.push((status, status, classes)),
        }
    }
    groups.iter().map(|(first, last, classes)| format!("{first}-{last}: {classes}\n")).collect()
}
