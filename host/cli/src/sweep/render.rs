//! The result of a sweep as text.

use assay_worker::maintenance::orphans::{ObjectCounts, SweepOptions, SweepSummary};

use crate::output;

pub fn text(swept: &SweepSummary, plan: SweepOptions) -> String {
    let ObjectCounts { listed, foreign, young, live, pointed, uploads, answers, runs } = swept.found;
    let rows = [
        ("uploads that no row names", uploads),
        ("answers that no row names", answers),
        ("in run folders that no row names", runs),
        ("named by a row", pointed),
        ("of a file whose job waits or runs", live),
        ("too young", young),
        ("with keys that Assay does not make", foreign),
        ("all under users/", listed),
    ];
    let rows = rows.map(|(what, objects)| vec![objects.to_string(), what.to_owned()]);
    let mut text = output::table(&["OBJECTS", "WHAT"], rows.into(), &[0]);
    let orphans = swept.found.orphans();
    text += &match (plan.delete, orphans) {
        (_, 0) => "\nnothing to delete\n".to_owned(),
        (false, _) if swept.too_many => format!(
            "\n--delete would refuse: {} are more than {} % of all (dry run)\n",
            counted(orphans),
            plan.max_percent
        ),
        (false, _) => format!("\nwould delete {} (dry run)\n", counted(orphans)),
        (true, _) => format!("\ndeleted {}\n", counted(swept.deleted)),
    };
    if swept.deleted > 0 {
        text += "where the bucket keeps versions, these stay until a lifecycle rule removes them\n";
    }
    if swept.failed > 0 {
        text += &format!("could not delete {}; the log says why\n", counted(swept.failed));
    }
    text
}

fn counted(objects: u64) -> String {
    if objects == 1 { "1 object".to_owned() } else { format!("{objects} objects") }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn swept() -> SweepSummary {
        let found = ObjectCounts {
            listed: 1000,
            foreign: 3,
            young: 20,
            live: 7,
            pointed: 930,
            uploads: 1,
            answers: 30,
            runs: 9,
        };
        SweepSummary { found, ..SweepSummary::default() }
    }

    #[test]
    fn a_sweep_shows_what_it_found_and_what_it_deleted() {
        let plan = SweepOptions::default();
        let deleting = SweepOptions { delete: true, ..plan };
        let sentence =
            |swept: &SweepSummary, plan| text(swept, plan).split_once("\n\n").expect("two parts").1.to_owned();
        insta::assert_snapshot!("sweep", text(&swept(), plan));
        assert_eq!(
            sentence(&SweepSummary { too_many: true, ..swept() }, plan),
            "--delete would refuse: 40 objects are more than 5 % of all (dry run)\n"
        );
        assert_eq!(
            sentence(&SweepSummary { deleted: 39, failed: 1, ..swept() }, deleting),
            "deleted 39 objects\n\
             where the bucket keeps versions, these stay until a lifecycle rule removes them\n\
             could not delete 1 object; the log says why\n"
        );
        assert_eq!(sentence(&SweepSummary::default(), deleting), "nothing to delete\n");
    }
}
