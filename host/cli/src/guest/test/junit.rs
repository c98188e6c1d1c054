//! Results of fixtures as JUnit XML, for CI systems.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::guest::test::fixture_result::{FixtureEnding, Results};

/// Returns one test suite with a test case per fixture.
pub fn xml(results: &Results) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new(results.guest.clone());
    suite.add_property(("digest", results.digest.as_str()));
    suite.add_property(("toolchain", results.toolchain.as_str()));
    for outcome in &results.fixtures {
        let mut case = TestCase::new(outcome.name.clone(), status(&outcome.ending));
        case.set_classname(results.guest.clone());
        if let Some(cost) = &outcome.cost {
            case.set_time(Duration::from_secs_f64(cost.seconds));
            case.add_property(("fuel", cost.fuel.to_string().as_str()));
        }
        suite.add_test_case(case);
    }
    suite.set_time(Duration::from_secs_f64(results.seconds));
    let mut report = Report::new("assay guest test");
    report.add_test_suite(suite);
    report.to_string()
}

fn status(ending: &FixtureEnding) -> TestCaseStatus {
    let (kind, message, details) = match ending {
        FixtureEnding::Passed | FixtureEnding::Accepted { .. } | FixtureEnding::FuelAccepted { .. } => {
            return TestCaseStatus::success();
        }
        FixtureEnding::Unexpected { diff, .. } => {
            (NonSuccessKind::Failure, "the step is not the expected one", Some(diff))
        }
        FixtureEnding::TooMuchFuel => (NonSuccessKind::Failure, "over a tenth above its fuel budget", None),
        FixtureEnding::Trouble { message } => (NonSuccessKind::Error, message.as_str(), None),
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message.to_owned());
    if let Some(details) = details {
        status.set_description(details.clone());
    }
    status
}
