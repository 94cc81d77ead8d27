//! The script: the run as a scenario file, the learner's faults among its lines. One can edit it,
//! run it, take it away and bring another. What is wrong with it is marked at its place and
//! listed in the words of the command line.

use std::time::Duration;

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::editor::CodeEditor;
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
    problems: RwSignal<Vec<Diagnostic>>,
    area: NodeRef<html::Textarea>,
    /// Stands in for the plain text field once it has been fetched.
    code: StoredValue<Option<CodeEditor>, LocalStorage>,
    /// It has.
    coded: RwSignal<bool>,
    /// Changes of the text so far, so that only the last is checked.
    changes: StoredValue<u32>,
}

impl Editor {
    fn load_run(self) {
        match self.bench.ask(to_toml) {
            Some(Ok(text)) => {
                self.put(text, Vec::new());
            }
            Some(Err(problem)) => self.bench.notices.say(Tone::Sand, problem.to_string()),
            None => {}
        }
    }

    fn load_draft(self, text: String) {
        let problems = diagnose(&text);
        self.put(text, problems);
    }

    /// Shows the run's own text again; the learner's can be brought back.
    fn put_away(self) {
        let Some(text) = self.bench.draft.get_untracked() else {
            return;
        };
        self.bench.draft.set(None);
        let bench = self.bench;
        bench.notices.offer(
            Tone::Sea,
            "The editor shows the run on stage again.",
            "Bring your text back",
            move || bench.draft.set(Some(text.clone())),
        );
    }

    /// The text is the learner's, not the run's.
    fn dirty(self) -> bool {
        self.bench.draft.with(Option::is_some)
    }

    fn put(self, text: String, problems: Vec<Diagnostic>) {
        self.code.with_value(|code| {
            if let Some(code) = code {
                code.view().set_text(&text);
            }
        });
        self.text.set(text);
        self.mark(problems);
    }

    fn mark(self, problems: Vec<Diagnostic>) {
        self.code.with_value(|code| {
            if let Some(code) = code {
                self.text
                    .with_untracked(|text| code.set_problems(text, &problems));
            }
        });
        self.problems.set(problems);
    }

    /// The learner changed the text; it is checked when they pause.
    fn changed(self, text: String) {
        self.bench.draft.set(Some(text.clone()));
        self.text.set(text);
        self.changes.update_value(|n| *n = n.wrapping_add(1));
        let mine = self.changes.get_value();
        let check = move || {
            if self.changes.try_get_value() == Some(mine) {
                self.mark(self.text.with_untracked(|text| diagnose(text)));
            }
        };
        set_timeout(check, CHECK_AFTER);
    }

    /// Fetches the code editor and puts it in the plain field's place.
    fn start(self, parent: web_sys::Element) {
        leptos::task::spawn_local(async move {
            let text = move || self.text.try_get_untracked();
            let started = CodeEditor::start(parent, text, move |text| self.changed(text)).await;
            let (Some(code), Some(problems)) = (started, self.problems.try_get_untracked()) else {
                return;
            };
            let focused = self.area.get_untracked().is_some_and(|area| {
                let active = document().active_element();
                active.is_some_and(|active| active.is_same_node(Some(&area)))
            });
            if focused {
                code.view().focus();
            }
            self.code.set_value(Some(code));
            self.coded.set(true);
            self.mark(problems);
        });
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
            self.mark(Vec::new());
            self.bench.tab.set(Tab::STAGE);
            self.bench.set_playing(!super::calm());
        } else {
            self.mark(self.bench.problems.get_untracked());
        }
    }

    /// Puts the caret on a problem.
    fn show(self, problem: &Diagnostic) {
        let (start, end) = self.text.with_untracked(|text| utf16_range(text, problem));
        let shown = self.code.with_value(|code| {
            if let Some(code) = code {
                code.view().show(start, end);
            }
            code.is_some()
        });
        if shown {
            return;
        }
        let Some(area) = self.area.get_untracked() else {
            return;
        };
        // A field that cannot take the focus or a selection stays as it is.
        let _ = area.focus();
        let _ = area.set_selection_range(start, end);
        let line_height = 21.0;
        area.set_scroll_top(((f64::from(problem.line) - 6.0) * line_height).max(0.0) as i32);
    }
}

/// Where a problem is, as the browser counts.
pub(super) fn utf16_range(text: &str, problem: &Diagnostic) -> (u32, u32) {
    (
        utf16_offset(text, problem.span.start),
        utf16_offset(text, problem.span.end),
    )
}

/// The tab.
#[component]
pub(crate) fn ScriptPanel() -> impl IntoView {
    let bench = use_bench();
    let editor = Editor {
        bench,
        text: RwSignal::new(String::new()),
        problems: RwSignal::new(bench.problems.get_untracked()),
        area: NodeRef::new(),
        code: StoredValue::new_local(None),
        coded: RwSignal::new(false),
        changes: StoredValue::new(0),
    };
    // The run, unless there is something of the learner's, or a scenario that did not open and
    // waits here to be mended.
    Effect::new(move |_| {
        bench.edits.track();
        let draft = bench.draft.get();
        match draft {
            None => editor.load_run(),
            Some(text) if editor.text.with_untracked(|own| *own != text) => editor.load_draft(text),
            Some(_) => {}
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
                Some(text) => editor.bench.draft.set(Some(text)),
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
                disabled=move || !editor.dirty()
                on:click=move |_| editor.put_away()
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
    let place = NodeRef::<html::Div>::new();
    Effect::new(move |_| {
        if let Some(place) = place.get() {
            editor.start(place.unchecked_into());
        }
    });
    view! {
        <div
            class="editor"
            class:has-problems=move || editor.problems.with(|p| !p.is_empty())
            class:is-code=move || editor.coded.get()
        >
            <div class="editor-code" node_ref=place></div>
            <Show when=move || !editor.coded.get()>
                <PlainField editor />
            </Show>
        </div>
    }
}

/// What stands there until the code editor has come, and where it does not.
#[component]
fn PlainField(editor: Editor) -> impl IntoView {
    let scroll = RwSignal::new(0i32);
    let on_scroll = move |_| {
        if let Some(area) = editor.area.get_untracked() {
            scroll.set(area.scroll_top());
        }
    };
    let shift = move || format!("translateY({}px)", -scroll.get());
    view! {
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
                on:input=move |ev| editor.changed(event_target_value(&ev))
                on:scroll=on_scroll
            ></textarea>
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
                        if editor.dirty() {
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
