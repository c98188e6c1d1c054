//! Holds the list in README.md to the tests.

use crate::{
    asking, building,
    cases::{Case, End},
    describing, loading, logging, memory, output, replaying, reports, schemas, spinning, trapping,
};

const ROOMS: [(&str, &[Case]); 12] = [
    ("asking", asking::CASES),
    ("building", building::CASES),
    ("describing", describing::CASES),
    ("loading", loading::CASES),
    ("logging", logging::CASES),
    ("memory", memory::CASES),
    ("output", output::CASES),
    ("replaying", replaying::CASES),
    ("reports", reports::CASES),
    ("schemas", schemas::CASES),
    ("spinning", spinning::CASES),
    ("trapping", trapping::CASES),
];

/// Returns the rows as README.md has them.
fn rows() -> String {
    let mut page = String::new();
    for (room, cases) in ROOMS {
        page += &format!("\n## {room}\n\n| test | ends as |\n|---|---|\n");
        for (name, end) in cases {
            page += &format!("| `{name}` | {} |\n", describe(*end));
        }
    }
    page
}

fn describe(end: End) -> String {
    match end {
        End::Fails { code, attempts: 1 } => format!("`{code}`"),
        End::Fails { code, attempts } => format!("`{code}`, after {attempts} attempts"),
        End::Succeeds => "the job succeeds".to_owned(),
        End::StaysOut(code) if code.contains(' ') => format!("not loaded: {code}"),
        End::StaysOut(code) => format!("not loaded: `{code}`"),
        End::IsNotBuilt(code) => format!("not built: `{code}`"),
        End::IsHeld(code) => format!("held: `{code}`"),
    }
}

#[test]
fn the_page_lists_every_hostile_guest_and_its_code() {
    let page = include_str!("README.md");
    let (_, listed) = page.split_once("\n## asking\n").expect("the list");
    let listed = format!("\n## asking\n{listed}");
    assert!(listed == rows(), "README.md is to end with:\n{}", rows());
}

#[test]
fn every_code_is_one_of_the_documentation() {
    let page = include_str!("../../docs/errors.md");
    for (name, end) in ROOMS.iter().flat_map(|(_, cases)| *cases) {
        let code = match end {
            End::Fails { code, .. } | End::StaysOut(code) | End::IsNotBuilt(code) | End::IsHeld(code) => code,
            End::Succeeds => continue,
        };
        assert!(code.contains(' ') || page.contains(&format!("\n| `{code}` |")), "{name}: {code}");
    }
}
