//! Work that outlives the page: the runs of a workbench are kept in the browser and come back on
//! the next visit. And the first thing a workbench shows: a run from the link, else the kept one,
//! else the page's own scenario.

use std::time::Duration;

use leptos::ev;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Bench, share};
use crate::host::{LinkProblem, Opened, Recipe};
use crate::store;
use crate::ui::Tone;

/// How often work is kept while something changes.
const KEEP_EVERY: Duration = Duration::from_secs(5);

/// What is kept for one page.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Version of this record.
    v: u32,
    /// The run on stage, as the fragment of a link.
    run: String,
    /// Other runs: name, fragment.
    others: Vec<(String, String)>,
    /// Text of the script tab that was not run yet.
    #[serde(default)]
    draft: Option<String>,
}

const VERSION: u32 = 1;

/// What a page asks its workbench to open.
#[derive(Clone)]
pub(crate) struct Opening {
    /// Under which name the work is kept; `None` keeps nothing.
    pub(crate) keep_as: Option<String>,
    /// The page's own scenario.
    pub(crate) recipe: Recipe,
    /// Pace at the start, simulated seconds per second.
    pub(crate) speed: f64,
    /// Run at once, unless the visitor asked for less motion.
    pub(crate) autoplay: bool,
}

/// Where the learner's work on this page is kept; set by [`open_saved_or`].
#[derive(Clone, Copy)]
pub(crate) struct KeepAs(StoredValue<Option<String>>);

/// Opens the run of the address, else the kept one, else the page's own.
pub(crate) fn open_saved_or(bench: Bench, opening: Opening) {
    let keep_as = use_context::<KeepAs>().unwrap_or_else(|| {
        let fresh = KeepAs(StoredValue::new(None));
        provide_context(fresh);
        fresh
    });
    keep_as.0.set_value(opening.keep_as.clone());
    if let Some(key) = &opening.keep_as
        && let Some(kept) = store::kept(&format!("work.{key}"))
        && restore(bench, &kept, opening.speed)
    {
        let afresh = opening.clone();
        let edited = bench.ask(|s| {
            let now = s.recipe();
            let own = &afresh.recipe;
            (&now.scenario, now.seed, &now.actions) != (&own.scenario, own.seed, &own.actions)
        });
        if edited == Some(true) {
            bench.notices.offer(
                Tone::Sea,
                "Your run is as you left it.",
                "Start afresh",
                move || {
                    bench.open(afresh.recipe.clone(), afresh.speed);
                },
            );
        }
        return;
    }
    if bench.open(opening.recipe, opening.speed) && opening.autoplay && !super::calm() {
        bench.set_playing(true);
    }
}

/// The run in the page's address: `None` if there is none, else the run or what is wrong with it.
pub(crate) fn linked_run() -> Option<Result<Opened, LinkProblem>> {
    let hash = window().location().hash().ok()?;
    let fragment = hash.strip_prefix('#')?.strip_prefix(share::KEY)?;
    Some(Recipe::from_fragment(fragment))
}

fn restore(bench: Bench, kept: &str, speed: f64) -> bool {
    let Ok(kept) = serde_json::from_str::<Kept>(kept) else {
        return false;
    };
    if kept.v != VERSION {
        return false;
    }
    let Ok(opened) = Recipe::from_fragment(&kept.run) else {
        return false;
    };
    if !bench.open(opened.recipe, speed) {
        bench.problems.set(Vec::new());
        return false;
    }
    for (name, fragment) in kept.others {
        if let Ok(opened) = Recipe::from_fragment(&fragment) {
            bench.host(|h| h.keep_branch(&name, opened.recipe));
        }
    }
    if kept.draft.is_some() {
        bench.draft.set(kept.draft);
    }
    bench.edited();
    true
}

fn keep(bench: Bench, key: &str, said: StoredValue<bool>) {
    let record = bench.host(|h| {
        let run = h.fragment().ok()?;
        let current = h.current();
        let others = h.branches().iter().filter(|b| b.id != current);
        let others =
            others.filter_map(|b| Some((b.name.clone(), b.recipe.to_fragment(None).ok()?)));
        Some(Kept {
            v: VERSION,
            run,
            others: others.collect(),
            draft: bench.draft.get_untracked(),
        })
    });
    let Some(text) = record
        .flatten()
        .and_then(|r| serde_json::to_string(&r).ok())
    else {
        return;
    };
    if let Err(problem) = store::keep(&format!("work.{key}"), &text)
        && !said.get_value()
    {
        said.set_value(true);
        bench.notices.offer(
            Tone::Sand,
            problem.text(),
            "Save this run as a file",
            move || {
                if let Some(Ok(toml)) = bench.ask(crate::host::to_toml) {
                    // A refusal shows in the browser itself.
                    let _ = crate::files::download("scenario.toml", &toml);
                }
            },
        );
    }
}

/// Keeps the work now and then, and when the page is left.
pub(crate) fn keep_while_open(bench: Bench) {
    let Some(KeepAs(key)) = use_context::<KeepAs>() else {
        return;
    };
    let (said, last) = (
        StoredValue::new(false),
        StoredValue::new((0u64, 0u64, None)),
    );
    let save = move || {
        let state = (
            bench.edits.get_untracked(),
            bench.hud.with_untracked(|h| h.now),
            bench.draft.get_untracked(),
        );
        if last.get_value() != state
            && let Some(key) = key.get_value()
        {
            last.set_value(state);
            keep(bench, &key, said);
        }
    };
    let timer = set_interval_with_handle(save, KEEP_EVERY).ok();
    let leaving = window_event_listener(ev::pagehide, move |_| save());
    on_cleanup(move || {
        save();
        leaving.remove();
        if let Some(timer) = timer {
            timer.clear();
        }
    });
}
