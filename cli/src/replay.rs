//! `strandline replay`: run a recording or a link again and compare.

use crate::args::ReplayArgs;
use crate::{Outcome, input};
use serde::{Deserialize, Serialize};
use sim_core::check::RunReport;
use sim_core::run::{ENGINE_VERSION, Recipe, Session, span_words};

/// What `run --record` writes.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Recording {
    /// Version of this format.
    strandline_replay: u32,
    /// Version of the engine.
    engine: u32,
    /// Simulated time reached, ns.
    time: u64,
    /// Digest there.
    digest: String,
    /// The fragment of a link to the run.
    link: String,
}

impl Recording {
    /// Of a run of a scenario's text.
    pub(crate) fn of(scenario: String, report: &RunReport, until: Option<u64>) -> Self {
        let time = until.unwrap_or(report.time).max(report.time);
        let recipe = Recipe {
            scenario,
            seed: Some(report.seed),
            actions: Vec::new(),
            time,
        };
        let digest = u64::from_str_radix(&report.digest, 16).ok();
        Recording {
            strandline_replay: 1,
            engine: ENGINE_VERSION,
            time,
            digest: report.digest.clone(),
            link: recipe.to_fragment(digest).unwrap_or_default(),
        }
    }
}

/// Replays a file and says whether the digests agree.
pub(crate) fn replay(args: &ReplayArgs) -> Outcome {
    let text = match input::text(&args.file) {
        Ok(text) => text,
        Err(outcome) => return outcome,
    };
    let link = match serde_json::from_str::<Recording>(&text) {
        Ok(recording) if recording.strandline_replay > 1 => {
            eprintln!(
                "this recording is of format {}, newer than this program knows (1): install a newer strandline",
                recording.strandline_replay
            );
            return Outcome::BadInput;
        }
        Ok(recording) => recording.link,
        Err(_) => text
            .trim()
            // The site writes `…/run/#run=r1.…`.
            .rsplit(['#', '='])
            .next()
            .unwrap_or_default()
            .to_owned(),
    };
    let opened = match Recipe::from_fragment(&link) {
        Ok(opened) => opened,
        Err(problem) => {
            eprintln!("{problem}");
            return Outcome::BadInput;
        }
    };
    let wanted = opened.digest;
    let time = opened.recipe.time;
    let scenario = opened.recipe.scenario.clone();
    let mut session = match Session::open(opened.recipe) {
        Ok(session) => session,
        Err(problems) => {
            eprint!(
                "{}",
                sim_core::scenario::render(&problems, "the link's scenario", &scenario)
            );
            return Outcome::BadInput;
        }
    };
    session.seek(time);
    let got = session.digest();
    match wanted.map(|digest| format!("{digest:016x}")) {
        None => {
            crate::say!(
                "{} at {}: digest {got} (the link holds none to compare)",
                session.title(),
                span_words(time)
            );
            Outcome::Held
        }
        Some(wanted) if wanted == got => {
            crate::say!(
                "{} at {}: digest {got}, as recorded",
                session.title(),
                span_words(time)
            );
            Outcome::Held
        }
        Some(wanted) => {
            crate::say!(
                "{} at {}: digest {got}, but {wanted} was recorded",
                session.title(),
                span_words(time)
            );
            Outcome::Broken
        }
    }
}
