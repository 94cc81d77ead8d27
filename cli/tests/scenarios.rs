//! Every file of `scenarios/` runs to the end with the ledger that its author states.

use sim_core::check::RunPlan;
use sim_core::scenario;
use sim_core::view::VerdictState;
use std::path::Path;
use std::sync::Arc;

#[test]
fn every_story_ends_as_its_author_says() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios"));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("can be listed").path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    assert!(
        files.len() >= 9,
        "the stories that the course tells are there: {}",
        files.len()
    );
    let mut wrong = Vec::new();
    for path in files {
        let name = path
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(&path).expect("can be read");
        let scenario = match scenario::parse(&text).into_result() {
            Ok(scenario) => Arc::new(scenario),
            Err(problems) => {
                wrong.push(scenario::render(&problems, &name, &text));
                continue;
            }
        };
        let seed = scenario.seed;
        let report = RunPlan::of(Arc::clone(&scenario), seed).run(|_, _| true);
        // The ledger is about what producers send, and not about what a job writes.
        let kafka = scenario.kafka();
        if report.ledger.sent == 0 && kafka.is_some_and(|it| !it.producers.is_empty()) {
            wrong.push(format!("{name}: nothing was sent"));
        }
        if scenario.expectations.is_empty() {
            wrong.push(format!("{name}: states no expectation"));
        }
        for verdict in report
            .verdicts
            .iter()
            .filter(|v| v.state != VerdictState::Held)
        {
            wrong.push(format!("{name}: {} ({})", verdict.text, verdict.detail));
        }
        // A broken invariant is a finding unless the story is about one.
        if !scenario.judges_invariants() {
            wrong.extend(report.violations.iter().map(|v| format!("{name}: {v}")));
        }
        if !report.good() {
            wrong.push(format!("{name}: the command line would call it bad"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A link from the site, a bare fragment and a recording are all replayed.
#[test]
fn a_link_is_replayed_as_the_site_writes_it() {
    use sim_core::run::{Recipe, Session};
    let text = include_str!("../../scenarios/kip-101-fixed.toml");
    let mut session = Session::open(Recipe::of(text)).expect("the story is good");
    session.seek(5_000_000_000);
    let digest = u64::from_str_radix(&session.digest(), 16).expect("hexadecimal");
    let fragment = session.recipe().to_fragment(Some(digest)).expect("fits");
    for link in [
        fragment.clone(),
        format!("https://example.org/strandline/run/#run={fragment}"),
    ] {
        let file = std::env::temp_dir().join(format!("strandline-link-{}", link.len()));
        std::fs::write(&file, &link).expect("can be written");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_strandline"))
            .arg("replay")
            .arg(&file)
            .output()
            .expect("the command starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && said.contains("as recorded"),
            "{link}: {said}"
        );
        std::fs::remove_file(&file).expect("can be removed");
    }
}
