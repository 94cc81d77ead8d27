//! The fields of the sandbox's form: a number, a check box, a choice. Each reads and writes one
//! value of the form and shows what is wrong with it.

use leptos::prelude::*;

use super::build::Build;

/// The form's state, shared by its fields.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// What the form says.
    pub(super) build: RwSignal<Build>,
}

/// The message for a field, if it has one.
fn problem(form: Form, id: &'static str) -> impl Fn() -> Option<String> + Copy {
    move || {
        form.build.with(|b| {
            b.problems()
                .into_iter()
                .find(|(f, _)| *f == id)
                .map(|(_, text)| text)
        })
    }
}

#[component]
fn FieldError(form: Form, id: &'static str) -> impl IntoView {
    let problem = problem(form, id);
    view! {
        <span class="error" id=format!("{id}-error") role="alert">
            {problem}
        </span>
    }
}

#[component]
pub(super) fn Number(
    form: Form,
    id: &'static str,
    label: &'static str,
    hint: &'static str,
    min: u32,
    max: u32,
    read: fn(&Build) -> u32,
    write: fn(&mut Build, u32),
) -> impl IntoView {
    let problem = problem(form, id);
    let on_change = move |ev: web_sys::Event| {
        // What is no number leaves the value as it was; the field shows that value again.
        if let Ok(n) = event_target_value(&ev).parse::<u32>() {
            form.build.update(|b| write(b, n.clamp(min, max)));
        } else {
            form.build.notify();
        }
    };
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <input
                class="input"
                type="number"
                id=id
                data-testid=format!("field-{id}")
                min=min
                max=max
                aria-invalid=move || problem().is_some().to_string()
                aria-describedby=format!("{id}-error")
                prop:value=move || form.build.with(read)
                on:change=on_change
            />
            {(!hint.is_empty()).then(|| view! { <span class="hint">{hint}</span> })}
            <FieldError form id />
        </div>
    }
}

#[component]
pub(super) fn Check(
    form: Form,
    id: &'static str,
    label: &'static str,
    read: fn(&Build) -> bool,
    write: fn(&mut Build, bool),
) -> impl IntoView {
    view! {
        <div class="field">
            <label class="check">
                <input
                    type="checkbox"
                    data-testid=format!("field-{id}")
                    prop:checked=move || form.build.with(read)
                    on:change=move |ev| {
                        form.build.update(|b| write(b, event_target_checked(&ev)));
                    }
                />
                {label}
            </label>
            <FieldError form id />
        </div>
    }
}

#[component]
pub(super) fn Choice(
    form: Form,
    id: &'static str,
    label: &'static str,
    options: Vec<(&'static str, &'static str)>,
    read: fn(&Build) -> String,
    write: fn(&mut Build, String),
) -> impl IntoView {
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <select
                class="select"
                id=id
                data-testid=format!("field-{id}")
                on:change=move |ev| form.build.update(|b| write(b, event_target_value(&ev)))
            >
                {options
                    .into_iter()
                    .map(|(value, text)| {
                        view! {
                            <option value=value selected=move || form.build.with(read) == value>
                                {text}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
        </div>
    }
}
