//! The workbench: one run with its stage, its time, its faults and its papers. Lessons, sandbox and
//! scenarios all show this one; what the home page shows of it too is free of the application
//! (`pilot`, `timeline_art`, the strip of the ledger).
//!
//! [`Bench`] is the handle that the parts share. The run itself lives in a [`Host`] outside the
//! reactive graph; ten times a second at most, what has changed is published to a few signals, and
//! the parts that are on screen ask the run for the rest themselves.

mod announce;
mod branches;
mod compare;
mod debug;
mod editor;
mod events;
mod fault_menu;
mod faults;
mod full;
mod groups;
mod inspector;
mod job;
mod keys;
mod ledger;
mod marks;
mod metrics;
mod panels;
mod pilot;
mod script;
mod share;
mod spacetime;
mod state;
mod storage;
mod timeline;
pub(crate) mod timeline_art;
mod transport;
mod verdicts;
mod work;

use std::sync::Arc;

use leptos::prelude::*;
use sim_core::view::{GroupView, JobView, LedgerView, StageView, Token};

use crate::host::{Deed, Diagnostic, Host, Recipe, Session};
use crate::raf::{self, FrameId};
use crate::stage::{Frame, FrameSlot, MenuRequest, Selection, Zoom, query};
use crate::ui::{Notices, Tone};

pub(crate) use announce::{Aloud, Telling};
pub(crate) use debug::{conceal, expose};
pub(crate) use full::FullWorkbench;
pub(crate) use keys::KeysTable;
pub(crate) use ledger::strip as ledger_strip;
pub(crate) use panels::Words;
pub(crate) use pilot::{Pilot, Way, jump_to_mark, seek_part, timeline_key};
pub(crate) use state::{Hud, Tab};
pub(crate) use verdicts::Verdicts;
pub(crate) use work::{Opening, linked_run, open_saved_or};

/// Main-thread time that simulating may take per frame, ms.
const BUDGET_MS: f64 = 5.0;
/// Least time between two publications while time runs, ms.
const PUBLISH_EVERY_MS: f64 = 100.0;
/// The same with a crowd of messages: then a publication is the dearest part of a frame, and of
/// numbers on dozens of strips nobody reads ten a second.
const PUBLISH_CROWD_EVERY_MS: f64 = 400.0;
/// Least time between two looks back at the past, ms.
const SLOW_EVERY_MS: f64 = 500.0;
/// Tokens asked for per frame.
const TOKENS_MAX: u32 = 2_000;

/// Messages under way from which on drawing them is most of a frame's work.
const CROWD: usize = 300;

/// What of a publication is still to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    /// All has been published.
    Nothing,
    /// What the stage shows, which has been asked for.
    Stage,
    /// A frame for the canvas, then the numbers.
    Canvas,
    /// The numbers, and that there is something new.
    Numbers,
}

/// What is published of the run for the stage.
#[derive(Clone)]
struct Shown {
    view: Arc<StageView>,
    groups: Arc<Vec<GroupView>>,
    job: Arc<Option<JobView>>,
}

/// A question the inspector answers: what to ask the engine, and how the panel is headed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct WhyQuestion {
    /// Subject as the engine names it.
    pub(crate) subject: String,
    /// Heading, e.g. `Why is the high watermark 127?`.
    pub(crate) title: String,
}

/// A prediction beside what happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Prediction {
    /// What the learner said.
    pub(crate) said: String,
    /// What the engine did.
    pub(crate) happened: String,
    /// They are the same.
    pub(crate) hit: bool,
}

/// The shared handle of a workbench. Cheap to copy; dies with the page that made it.
#[derive(Clone, Copy)]
pub(crate) struct Bench {
    host: StoredValue<Option<Host>, LocalStorage>,
    frame_id: StoredValue<Option<FrameId>>,
    since_publish: StoredValue<f64>,
    /// What the publication of the stage left to the next frames.
    due: StoredValue<Due>,
    /// What the stage is to show, from the question to the next frame.
    asked: StoredValue<Option<Shown>>,
    /// What the stage showed before: to drop so many words takes time that the frame which changes
    /// the page has not.
    past: StoredValue<Arc<StageView>>,
    /// Where the stage leaves its drawing.
    pub(crate) frame: FrameSlot,
    /// Time, pace, counts.
    pub(crate) hud: RwSignal<Hud>,
    /// The world, for what is DOM.
    pub(crate) view: RwSignal<Arc<StageView>>,
    /// The consumer groups.
    pub(crate) groups: RwSignal<Arc<Vec<GroupView>>>,
    /// The job of a stream processor, if the scenario has one.
    pub(crate) job: RwSignal<Arc<Option<JobView>>>,
    /// The truth ledger's counters.
    pub(crate) ledger: RwSignal<LedgerView>,
    /// The caption in force.
    pub(crate) caption: RwSignal<Option<String>>,
    /// Grows with each publication; parts that ask the run themselves depend on it.
    pub(crate) tick: RwSignal<u64>,
    /// As `tick`, but at most twice a second while time runs: for what runs the past again.
    pub(crate) slow_tick: RwSignal<u64>,
    slow_at: StoredValue<f64>,
    /// Grows when the run itself was changed: a deed, an undo, another branch, another recipe.
    pub(crate) edits: RwSignal<u64>,
    /// What is wrong with the scenario that was to be opened.
    pub(crate) problems: RwSignal<Vec<Diagnostic>>,
    /// The text of the script tab where it is not the run's: what the learner has written and not
    /// run yet, or what the engine refused. Kept across visits.
    pub(crate) draft: RwSignal<Option<String>>,
    /// What the learner has picked.
    pub(crate) selected: RwSignal<Option<Selection>>,
    /// How close the stage looks.
    pub(crate) zoom: RwSignal<Zoom>,
    /// Whether the stage shows the cluster or a group.
    pub(crate) on_stage: RwSignal<groups::OnStage>,
    /// The open menu of faults.
    pub(crate) menu: RwSignal<Option<MenuRequest>>,
    /// The question the inspector is answering.
    pub(crate) why: RwSignal<Option<WhyQuestion>>,
    /// The tab on view.
    pub(crate) tab: RwSignal<&'static str>,
    /// The dialog that shares the run.
    pub(crate) share_open: RwSignal<bool>,
    /// The dialog that lists the keys.
    pub(crate) keys_open: RwSignal<bool>,
    /// The deeds a lesson offers, by their names in the palette; empty = all.
    pub(crate) controls: RwSignal<Vec<String>>,
    /// A graded prediction, which stays over the outcome.
    pub(crate) prediction: RwSignal<Option<Prediction>>,
    /// The two runs that the compare tab shows.
    pub(crate) compared: RwSignal<Option<(u32, u32)>>,
    /// The page's notices.
    pub(crate) notices: Notices,
}

impl Bench {
    /// Makes a workbench for the page under construction and registers it with the frame loop.
    pub(crate) fn new() -> Bench {
        let bench = Bench {
            host: StoredValue::new_local(None),
            frame_id: StoredValue::new(None),
            since_publish: StoredValue::new(0.0),
            due: StoredValue::new(Due::Nothing),
            asked: StoredValue::new(None),
            past: StoredValue::new(Arc::default()),
            frame: StoredValue::new_local(None),
            hud: RwSignal::new(Hud::default()),
            view: RwSignal::new(Arc::default()),
            groups: RwSignal::new(Arc::default()),
            job: RwSignal::new(Arc::default()),
            ledger: RwSignal::new(LedgerView::default()),
            caption: RwSignal::new(None),
            tick: RwSignal::new(0),
            slow_tick: RwSignal::new(0),
            slow_at: StoredValue::new(f64::MIN),
            edits: RwSignal::new(0),
            problems: RwSignal::new(Vec::new()),
            draft: RwSignal::new(None),
            selected: RwSignal::new(None),
            zoom: RwSignal::new(Zoom::default()),
            on_stage: RwSignal::new(groups::OnStage::default()),
            menu: RwSignal::new(None),
            why: RwSignal::new(None),
            tab: RwSignal::new(Tab::STAGE),
            share_open: RwSignal::new(false),
            keys_open: RwSignal::new(false),
            controls: RwSignal::new(Vec::new()),
            prediction: RwSignal::new(None),
            compared: RwSignal::new(None),
            notices: expect_context::<Notices>(),
        };
        let id = raf::register(move |step| bench.on_frame(step));
        bench.frame_id.set_value(Some(id));
        on_cleanup(move || raf::remove(id));
        provide_context(bench);
        bench
    }

    /// Opens a run and shows it. A recipe the engine refuses leaves the bench as it is and is
    /// reported in `problems`.
    pub(crate) fn open(self, recipe: Recipe, speed: f64) -> bool {
        let text = recipe.scenario.clone();
        match Host::open(recipe, speed) {
            Ok(host) => {
                // What was written and has now been run is no draft any more; other text stays one.
                if self
                    .draft
                    .with_untracked(|draft| draft.as_ref() == Some(&text))
                {
                    self.draft.set(None);
                }
                self.show(host);
                true
            }
            Err(problems) => {
                self.problems.set(problems);
                self.draft.set(Some(text));
                false
            }
        }
    }

    /// Shows a run from its present moment on.
    pub(crate) fn show(self, host: Host) {
        self.host.set_value(Some(host));
        self.problems.set(Vec::new());
        self.selected.set(None);
        self.why.set(None);
        self.compared.set(None);
        self.prediction.set(None);
        if self.tab.get_untracked() == Tab::COMPARE {
            self.tab.set(Tab::STAGE);
        }
        self.edited();
    }

    /// Asks the run something. `None` while no run is open.
    pub(crate) fn ask<T>(self, question: impl FnOnce(&Session) -> T) -> Option<T> {
        self.host
            .try_with_value(|host| host.as_ref().map(|h| question(h.session())))
            .flatten()
    }

    /// The run's rolling digest at this moment.
    pub(crate) fn digest(self) -> Option<u64> {
        self.ask(|s| u64::from_str_radix(&s.digest(), 16).ok())
            .flatten()
    }

    /// Asks or changes the host, without publishing.
    pub(crate) fn host<T>(self, change: impl FnOnce(&mut Host) -> T) -> Option<T> {
        self.host
            .try_update_value(|host| host.as_mut().map(change))
            .flatten()
    }

    /// Moves in time, then publishes.
    pub(crate) fn travel<T>(self, change: impl FnOnce(&mut Host) -> T) -> Option<T> {
        let out = self.host(change);
        self.publish();
        self.wake();
        out
    }

    /// Starts or stops time.
    pub(crate) fn set_playing(self, playing: bool) {
        self.travel(|h| h.set_playing(playing));
    }

    /// Starts time if it stands, stops it if it runs.
    pub(crate) fn toggle(self) {
        let playing = self.hud.with_untracked(|h| h.playing);
        self.set_playing(!playing);
    }

    /// Goes to a time, keeping the pace as it is.
    pub(crate) fn seek(self, ns: u64) {
        self.travel(|h| h.seek(ns));
    }

    /// Does a deed, or says why the engine refuses it. True if it was done.
    pub(crate) fn act(self, deed: Deed, label: &str) -> bool {
        match self.host(|h| h.act(deed, label)) {
            Some(Ok(())) => self.edited(),
            Some(Err(refusal)) => {
                self.notices.say(Tone::Sand, refusal.to_string());
                return false;
            }
            None => return false,
        }
        true
    }

    /// Takes the last deed back.
    pub(crate) fn undo(self) {
        if let Some(label) = self.host(Host::undo).flatten() {
            self.notices.say(Tone::Sea, format!("Undone: {label}."));
            self.edited();
        } else {
            self.notices.say(Tone::Sand, "There is nothing to undo.");
        }
    }

    /// Publishes after a change of the run itself.
    pub(crate) fn edited(self) {
        self.publish();
        self.edits.update(|n| *n += 1);
        self.wake();
    }

    /// Asks for one frame (and more while time runs).
    pub(crate) fn wake(self) {
        if let Some(id) = self.frame_id.try_get_value().flatten() {
            raf::wake(id);
        }
    }

    fn on_frame(self, step_ms: f64) -> bool {
        let moved = self
            .host(|h| h.frame(step_ms, BUDGET_MS, now_ms))
            .unwrap_or_default();
        let waited = self.since_publish.try_update_value(|since| {
            *since += step_ms;
            *since
        });
        let crowded = self.view.try_with_untracked(|v| v.tokens.len() >= CROWD) == Some(true);
        let every = if crowded {
            PUBLISH_CROWD_EVERY_MS
        } else {
            PUBLISH_EVERY_MS
        };
        let due = moved.changed && waited.is_some_and(|w| w >= every);
        // With so many messages one frame has no time for everything: the run is asked in one, the
        // stage changes in the next and the numbers in the one but next. The canvas rests in the two
        // that change the page, one frame apart, which is not seen as a halt.
        let step = match self.due.try_get_value() {
            _ if moved.halted || (due && !crowded) => None,
            // What was begun is ended first: where frames are slow the next publication is due.
            step => step,
        };
        match step {
            None => {
                self.publish();
                self.draw();
            }
            Some(Due::Nothing) => {
                if due {
                    self.ask_for_stage();
                    self.due.try_set_value(Due::Stage);
                }
                self.draw();
            }
            Some(Due::Stage) => {
                self.show_asked();
                self.due.try_set_value(Due::Canvas);
            }
            Some(Due::Canvas) => {
                self.draw();
                self.due.try_set_value(Due::Numbers);
            }
            Some(Due::Numbers) => {
                self.publish_numbers();
                self.publish_ticks();
            }
        }
        self.host(|h| h.playing()).unwrap_or(false)
    }

    /// Draws what moves, at the run's present time.
    fn draw(self) {
        let mounted = self.frame.try_with_value(Option::is_some).unwrap_or(false);
        if !mounted {
            return;
        }
        let Some(view) = self.view.try_get_untracked() else {
            return;
        };
        let show = |now: u64, tokens: &[Token], tokens_hidden| {
            self.frame.try_update_value(|draw| {
                if let Some(draw) = draw {
                    draw(&Frame {
                        now_ns: now as f64,
                        tokens,
                        tokens_hidden,
                        links: &view.links,
                    });
                }
            });
        };
        // Right after the question for the stage its answer has the tokens as well.
        let asked = self.asked.try_with_value(|asked| {
            let view = &asked.as_ref()?.view;
            show(view.now, &view.tokens, view.tokens_hidden);
            Some(())
        });
        if asked.flatten().is_none()
            && let Some((now, (tokens, hidden))) = self.ask(|s| (s.now(), s.tokens(TOKENS_MAX)))
        {
            show(now, &tokens, hidden);
        }
    }

    /// Publishes the run's present state to the signals.
    pub(crate) fn publish(self) {
        self.publish_stage();
        self.publish_numbers();
        self.publish_ticks();
    }

    /// Publishes what the stage shows.
    fn publish_stage(self) {
        self.ask_for_stage();
        self.show_asked();
    }

    /// Asks the run what the stage is to show.
    fn ask_for_stage(self) {
        self.since_publish.try_set_value(0.0);
        let wanted = self
            .view
            .with_untracked(|last| query(&self.zoom.get_untracked(), last));
        let shown = self.ask(|session| {
            let groups = session.groups();
            Shown {
                view: Arc::new(session.stage_of(&groups, &wanted)),
                groups: Arc::new(groups),
                job: Arc::new(session.job()),
            }
        });
        self.asked.try_set_value(shown);
    }

    /// Shows what was asked for.
    fn show_asked(self) {
        let asked = self.asked.try_update_value(Option::take).flatten();
        if let Some(Shown { view, groups, job }) = asked {
            // `try_`: the page may have been left while a frame was under way.
            self.past
                .try_set_value(self.view.try_get_untracked().unwrap_or_default());
            let _ = self.view.try_set(view);
            set_if_new(self.groups, groups);
            set_if_new(self.job, job);
        }
    }

    /// Publishes clock, ledger and caption.
    fn publish_numbers(self) {
        self.past.try_set_value(Arc::default());
        let Some(Some((hud, ledger, caption))) = self.host.try_with_value(|host| {
            let host = host.as_ref()?;
            let session = host.session();
            let caption = session.caption().map(|c| c.text);
            Some((Hud::of(host), session.ledger(), caption))
        }) else {
            return;
        };
        set_if_new(self.hud, hud);
        set_if_new(self.ledger, ledger);
        set_if_new(self.caption, caption);
    }

    /// Publishes that there is something new.
    fn publish_ticks(self) {
        self.due.try_set_value(Due::Nothing);
        self.tick.try_update(|n| *n += 1);
        let now = now_ms();
        let playing = self.host(|h| h.playing()).unwrap_or(false);
        let last = self.slow_at.try_get_value().unwrap_or(now);
        if !playing || now - last >= SLOW_EVERY_MS {
            self.slow_at.try_set_value(now);
            self.slow_tick.try_update(|n| *n += 1);
        }
    }
}

impl Pilot for Bench {
    fn host<T>(&self, change: impl FnOnce(&mut Host) -> T) -> Option<T> {
        Bench::host(*self, change)
    }

    fn show(&self) {
        self.publish();
        self.wake();
    }

    fn say(&self, text: String) {
        self.notices.say(Tone::Sea, text);
    }
}

fn set_if_new<T: PartialEq + Clone + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal
        .try_with_untracked(|old| *old != value)
        .unwrap_or(false)
    {
        let _ = signal.try_set(value);
    }
}

/// A monotonic clock, ms.
pub(crate) fn now_ms() -> f64 {
    web_sys::window()
        .and_then(|w| w.performance())
        .map_or(0.0, |p| p.now())
}

/// The workbench that the page has made.
pub(crate) fn use_bench() -> Bench {
    expect_context::<Bench>()
}

/// True on a window in which text and workbench stand below each other.
pub(crate) fn narrow() -> bool {
    let query =
        web_sys::window().and_then(|w| w.match_media("(max-width: 61.99rem)").ok().flatten());
    query.is_some_and(|q| q.matches())
}

/// True if the visitor asked for less motion.
pub(crate) fn calm() -> bool {
    let query = web_sys::window().and_then(|w| {
        w.match_media("(prefers-reduced-motion: reduce)")
            .ok()
            .flatten()
    });
    query.is_some_and(|q| q.matches())
}
