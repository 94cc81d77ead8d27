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

    /// Refuses a recording whose parts tell different things of the run.
    fn agrees(&self, time: u64, digest: Option<&str>) -> Result<(), Outcome> {
        let said = [
            // A link of another engine is refused before.
            (
                "engine",
                self.engine.to_string(),
                Some(ENGINE_VERSION.to_string()),
            ),
            ("time", self.time.to_string(), Some(time.to_string())),
            ("digest", self.digest.clone(), digest.map(str::to_owned)),
        ];
        for (field, own, in_link) in said {
            if let Some(in_link) = in_link.filter(|it| *it != own) {
                return Err(refuse(&format!(
                    "the recording says {field} {own}, its link {in_link}: one of them was changed"
                )));
            }
        }
        Ok(())
    }
}

/// Replays a file and says whether the digests agree.
pub(crate) fn replay(args: &ReplayArgs) -> Outcome {
    match try_replay(args) {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

fn refuse(problem: &str) -> Outcome {
    eprintln!("{problem}");
    Outcome::BadInput
}

fn try_replay(args: &ReplayArgs) -> Result<Outcome, Outcome> {
    let text = input::text(&args.file)?;
    let recording = serde_json::from_str::<Recording>(&text).ok();
    if let Some(recording) = &recording {
        let format = recording.strandline_replay;
        if format > 1 {
            return Err(refuse(&format!(
                "this recording is of format {format}, newer than this program knows (1): install a newer strandline"
            )));
        }
    }
    let link = match &recording {
        Some(recording) => recording.link.as_str(),
        // The site writes `…/run/#run=r1.…`.
        None => text.trim().rsplit(['#', '=']).next().unwrap_or_default(),
    };
    let opened = Recipe::from_fragment(link).map_err(|problem| refuse(&problem.to_string()))?;
    let in_link = opened.digest.map(|digest| format!("{digest:016x}"));
    let time = opened.recipe.time;
    if let Some(recording) = &recording {
        recording.agrees(time, in_link.as_deref())?;
    }
    let scenario = opened.recipe.scenario.clone();
    let mut session = Session::open(opened.recipe).map_err(|problems| {
        let shown = sim_core::scenario::render(&problems, "the link's scenario", &scenario);
        eprint!("{shown}");
        Outcome::BadInput
    })?;
    session.seek(time);
    let got = session.digest();
    let (title, at) = (session.title(), span_words(time));
    Ok(match recording.map(|it| it.digest).or(in_link) {
        None => {
            crate::say!("{title} at {at}: digest {got} (the link holds none to compare)");
            Outcome::Held
        }
        Some(wanted) if wanted == got => {
            crate::say!("{title} at {at}: digest {got}, as recorded");
            Outcome::Held
        }
        Some(wanted) => {
            crate::say!("{title} at {at}: digest {got}, but {wanted} was recorded");
            Outcome::Broken
        }
    })
}
