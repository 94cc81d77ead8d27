//! The script: the run as a scenario file, the learner's faults among its lines. One can edit it,
//! run it, take it away and bring another. What is wrong with it is marked at its place and
//! listed in the words of the command line.

use std::time::Duration;

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::{Bench, Tab, use_bench};
use crate::files;
use crate::format::utf16_offset;
use crate::host::{Diagnostic, Recipe, Severity, diagnose, to_toml};
use crate::ui::{Tone, icon};

/// How long the learner must pause before the text is checked.
const CHECK_AFTER: Duration = Duration::from_millis(150);
/// Largest file that is read, bytes. The engine has its own, lower limit.
const FILE_MAX: f64 = 2_000_000.0;

/// The editor's state, shared by its parts.
#[derive(Clone, Copy)]
struct Editor {
    bench: Bench,
    text: RwSignal<String>,
    /// The text is the learner's, not the run's.
    dirty: RwSignal<bool>,
    problems: RwSignal<Vec<Diagnostic>>,
    area: NodeRef<html::Textarea>,
}

impl Editor {
    fn load_run(self) {
        match self.bench.ask(to_toml) {
            Some(Ok(text)) => self.put(text, false),
            Some(Err(problem)) => self.bench.notices.say(Tone::Sand, problem.to_string()),
            None => {}
        }
    }

    fn put(self, text: String, dirty: bool) {
        self.problems
            .set(if dirty { diagnose(&text) } else { Vec::new() });
        self.text.set(text);
        self.dirty.set(dirty);
    }

    fn run(self) {
        let text = self.text.get_untracked();
        let speed = self.bench.hud.with_untracked(|h| h.speed);
        let recipe = Recipe {
            scenario: text,
            seed: None,
            actions: Vec::new(),
            time: 0,
        };
        if self.bench.open(recipe, crate::format::SPEEDS[speed].0) {
            self.dirty.set(false);
            self.problems.set(Vec::new());
            self.bench.tab.set(Tab::STAGE);
            self.bench.set_playing(!super::calm());
        } else {
            self.problems.set(self.bench.problems.get_untracked());
        }
    }

    /// Puts the caret on a problem.
    fn show(self, problem: &Diagnostic) {
        let Some(area) = self.area.get_untracked() else {
            return;
        };
        let text = self.text.get_untracked();
        let start = utf16_offset(&text, problem.span.start);
        let end = utf16_offset(&text, problem.span.end);
        // A field that cannot take the focus or a selection stays as it is.
        let _ = area.focus();
        let _ = area.set_selection_range(start, end);
        let line_height = 21.0;
        area.set_scroll_top(((f64::from(problem.line) - 6.0) * line_height).max(0.0) as i32);
    }
}

/// The tab.
#[component]
pub(crate) fn ScriptPanel() -> impl IntoView {
    let bench = use_bench();
    let editor = Editor {
        bench,
        text: RwSignal::new(String::new()),
        dirty: RwSignal::new(false),
        problems: RwSignal::new(bench.problems.get_untracked()),
        area: NodeRef::new(),
    };
    Effect::new(move |_| {
        bench.edits.track();
        if !editor.dirty.get_untracked() {
            editor.load_run();
        }
    });
    // A scenario that did not open waits here to be mended.
    Effect::new(move |_| {
        if let Some(text) = bench.refused.get() {
            editor.put(text, true);
        }
    });
    view! {
        <div class="panel-tools">
            <p class="muted small grow">
                "This run as a file: the scenario and what you did by hand. It runs to the same
                digest on the command line: " <code>"strandline run file.toml"</code>
            </p>
            <ScriptButtons editor />
        </div>
        <div class="editor-frame">
            <EditorField editor />
            <ProblemList editor />
        </div>
    }
}

#[component]
fn ScriptButtons(editor: Editor) -> impl IntoView {
    let download = move |_| {
        if files::download("scenario.toml", &editor.text.get_untracked()).is_none() {
            editor
                .bench
                .notices
                .say(Tone::Harm, "The browser refused to make the file.");
        }
    };
    let import = move |ev: web_sys::Event| {
        let Some(input) = ev
            .target()
            .and_then(|t| t.dyn_into::<web_sys::HtmlInputElement>().ok())
        else {
            return;
        };
        let Some(file) = input.files().and_then(|f| f.get(0)) else {
            return;
        };
        if file.size() > FILE_MAX {
            editor.bench.notices.say(
                Tone::Sand,
                "That file is too large to be a scenario (2 MB).",
            );
            return;
        }
        leptos::task::spawn_local(async move {
            match files::read_text(&file).await {
                Some(text) => editor.put(text, true),
                None => editor
                    .bench
                    .notices
                    .say(Tone::Harm, "That file could not be read."),
            }
        });
        input.set_value("");
    };
    view! {
        <div class="actions">
            <label class="button small">
                {icon("upload")} "Open a file"
                <input
                    type="file"
                    class="sr-only"
                    accept=".toml,text/plain"
                    data-testid="import"
                    on:change=import
                />
            </label>
            <button type="button" class="button small" data-testid="export" on:click=download>
                {icon("download")}
                "Save as a file"
            </button>
            <button
                type="button"
                class="button small"
                disabled=move || !editor.dirty.get()
                on:click=move |_| editor.load_run()
            >
                "Back to the run"
            </button>
            <button
                type="button"
                class="button small primary"
                data-testid="run-script"
                on:click=move |_| editor.run()
            >
                "Run this"
            </button>
        </div>
    }
}

#[component]
fn EditorField(editor: Editor) -> impl IntoView {
    let pending = StoredValue::new(0u32);
    let scroll = RwSignal::new(0i32);
    let on_input = move |ev| {
        editor.text.set(event_target_value(&ev));
        editor.dirty.set(true);
        pending.update_value(|n| *n = n.wrapping_add(1));
        let mine = pending.get_value();
        let check = move || {
            if pending.try_get_value() == Some(mine) {
                let text = editor.text.get_untracked();
                editor.problems.set(diagnose(&text));
            }
        };
        set_timeout(check, CHECK_AFTER);
    };
    let on_scroll = move |_| {
        if let Some(area) = editor.area.get_untracked() {
            scroll.set(area.scroll_top());
        }
    };
    let shift = move || format!("translateY({}px)", -scroll.get());
    view! {
        <div class="editor" class:has-problems=move || editor.problems.with(|p| !p.is_empty())>
            <div class="editor-gutter" aria-hidden="true">
                <div style:transform=shift>
                    <Gutter editor />
                </div>
            </div>
            <div class="editor-page">
                <div class="editor-marks" aria-hidden="true">
                    <div style:transform=shift>
                        <Marks editor />
                    </div>
                </div>
                <textarea
                    class="editor-text"
                    node_ref=editor.area
                    data-testid="script"
                    aria-label="Scenario file"
                    aria-describedby="script-problems"
                    aria-invalid=move || editor.problems.with(|p| !p.is_empty()).to_string()
                    spellcheck="false"
                    autocapitalize="off"
                    autocomplete="off"
                    wrap="off"
                    prop:value=move || editor.text.get()
                    on:input=on_input
                    on:scroll=on_scroll
                ></textarea>
            </div>
        </div>
    }
}

#[component]
fn Gutter(editor: Editor) -> impl IntoView {
    move || {
        let lines = editor.text.with(|t| t.matches('\n').count() + 1);
        let bad: Vec<u32> = editor.problems.with(|p| p.iter().map(|d| d.line).collect());
        (1..=lines as u32)
            .map(|n| view! { <span class:is-bad=bad.contains(&n)>{n}</span> })
            .collect_view()
    }
}

/// The text once more, invisible, with the places of problems underlined.
#[component]
fn Marks(editor: Editor) -> impl IntoView {
    move || {
        let text = editor.text.get();
        let mut spans: Vec<(usize, usize)> = editor
            .problems
            .with(|p| p.iter().map(|d| (d.span.start, d.span.end)).collect());
        spans.sort_unstable();
        let mut at = 0;
        let mut parts = Vec::new();
        for (start, end) in spans {
            let end = end.max(start + 1).min(text.len());
            let (Some(before), Some(marked)) = (text.get(at..start), text.get(start..end)) else {
                continue;
            };
            parts.push(before.to_owned().into_any());
            parts.push(view! { <mark>{marked.to_owned()}</mark> }.into_any());
            at = end;
        }
        parts.push(text.get(at..).unwrap_or_default().to_owned().into_any());
        parts.collect_view()
    }
}

#[component]
fn ProblemList(editor: Editor) -> impl IntoView {
    let list = move || {
        editor
            .problems
            .get()
            .into_iter()
            .map(|d| {
                let class =
                    if d.severity == Severity::Error { "chip harm" } else { "chip sand" };
                let place = format!("{}:{}", d.line, d.column);
                let (message, expected, help) =
                    (d.message.clone(), d.expected.clone(), d.help.clone());
                view! {
                    <li>
                        <button type="button" on:click=move |_| editor.show(&d)>
                            <span class=class>{place}</span>
                            <span>
                                {message}
                                <span class="muted">
                                    {(!expected.is_empty()).then(|| format!(" · expected {expected}"))}
                                </span>
                                {help.map(|h| view! { <span class="text-sea">" " {h}</span> })}
                            </span>
                        </button>
                    </li>
                }
            })
            .collect_view()
    };
    let none = move || editor.problems.with(Vec::is_empty);
    view! {
        <div id="script-problems" class="problems" data-testid="script-problems" aria-live="polite">
            <Show
                when=none
                fallback=move || {
                    view! {
                        <ol class="problem-list">{list}</ol>
                    }
                }
            >
                <p class="muted small">
                    {move || {
                        if editor.dirty.get() {
                            "Nothing wrong found. Run it to see what it does."
                        } else {
                            "This is the run on stage."
                        }
                    }}
                </p>
            </Show>
        </div>
    }
}
