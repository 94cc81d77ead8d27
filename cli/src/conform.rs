//! `strandline conform`: cases of the real systems' own tests, asked of the engine.

use crate::args::ConformArgs;
use crate::{Outcome, input};
use conform::Outcome as Case;

/// Runs all cases of the files; one line a case, and totals.
pub(crate) fn conform(args: &ConformArgs) -> Outcome {
    let mut all = (0, 0, 0);
    let mut unreadable = false;
    for file in &args.files {
        let name = file.display().to_string();
        let Ok(text) = input::text(file) else {
            unreadable = true;
            continue;
        };
        let report = match conform::run(&name, &text) {
            Ok(report) => report,
            Err(error) => {
                eprintln!("cannot use {name}: {error}");
                unreadable = true;
                continue;
            }
        };
        for (id, outcome) in &report.cases {
            match outcome {
                Case::Pass => crate::say!("pass         {id}"),
                Case::Fail(what) => crate::say!("fail         {id}: {what}"),
                Case::Unsupported(why) => crate::say!("unsupported  {id}: {why}"),
            }
        }
        let counts = report.counts();
        totals(&name, counts);
        all = (all.0 + counts.0, all.1 + counts.1, all.2 + counts.2);
    }
    if args.files.len() > 1 {
        totals("all", all);
    }
    match all {
        _ if unreadable => Outcome::BadInput,
        (_, 0, 0) => Outcome::Held,
        (_, 0, _) if !args.strict => Outcome::Held,
        _ => Outcome::Broken,
    }
}

fn totals(name: &str, (passed, failed, unsupported): (usize, usize, usize)) {
    crate::say!("{name}: {passed} passed, {failed} failed, {unsupported} unsupported");
}
