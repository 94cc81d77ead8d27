//! Short messages in the corner, in a live region: a copy made, a fault refused, work restored.
//! A notice with an action stays until it is dismissed; a plain one goes after a while.

use std::time::Duration;

use leptos::prelude::*;

use super::icon;

const SHOWN_FOR: Duration = Duration::from_secs(6);
const OFFERED_FOR: Duration = Duration::from_secs(20);
const AT_ONCE_MAX: usize = 4;

/// How a notice is toned; its text says the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    Sea,
    Sand,
    Harm,
    #[expect(dead_code, reason = "predictions will use it")]
    Proven,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Tone::Sea => "notice sea",
            Tone::Sand => "notice sand",
            Tone::Harm => "notice harm",
            Tone::Proven => "notice proven",
        }
    }
}

#[derive(Clone)]
struct Notice {
    id: u64,
    tone: Tone,
    text: String,
    action: Option<(String, Callback<()>)>,
}

/// The page's notices; found by context.
#[derive(Clone, Copy)]
pub(crate) struct Notices {
    list: RwSignal<Vec<Notice>>,
    next: StoredValue<u64>,
}

impl Notices {
    /// Makes the list and hands it down by context.
    pub(crate) fn provide() -> Notices {
        let notices = Notices {
            list: RwSignal::new(Vec::new()),
            next: StoredValue::new(0),
        };
        provide_context(notices);
        notices
    }

    /// Says something that goes away by itself.
    pub(crate) fn say(self, tone: Tone, text: impl Into<String>) {
        let id = self.push(tone, text.into(), None);
        set_timeout(move || self.dismiss(id), SHOWN_FOR);
    }

    /// Says something with a button; stays until dismissed.
    pub(crate) fn offer(
        self,
        tone: Tone,
        text: impl Into<String>,
        label: impl Into<String>,
        act: impl Fn() + Send + Sync + 'static,
    ) {
        self.push(
            tone,
            text.into(),
            Some((label.into(), Callback::new(move |()| act()))),
        );
    }

    /// Says something with a button that is of use for a while only.
    pub(crate) fn offer_briefly(
        self,
        tone: Tone,
        text: impl Into<String>,
        label: impl Into<String>,
        act: impl Fn() + Send + Sync + 'static,
    ) {
        let act = Callback::new(move |()| act());
        let id = self.push(tone, text.into(), Some((label.into(), act)));
        set_timeout(move || self.dismiss(id), OFFERED_FOR);
    }

    fn push(self, tone: Tone, text: String, action: Option<(String, Callback<()>)>) -> u64 {
        let id = self.next.try_update_value(|n| {
            *n += 1;
            *n
        });
        let id = id.unwrap_or_default();
        self.list.update(|list| {
            list.retain(|n| n.text != text);
            list.push(Notice {
                id,
                tone,
                text,
                action,
            });
            let over = list.len().saturating_sub(AT_ONCE_MAX);
            list.drain(..over);
        });
        id
    }

    fn dismiss(self, id: u64) {
        self.list.try_update(|list| list.retain(|n| n.id != id));
    }
}

/// Where the notices stand. One per page.
#[component]
pub(crate) fn NoticeRegion(notices: Notices) -> impl IntoView {
    view! {
        <div class="notices" role="status" aria-live="polite" data-testid="notices">
            <For each=move || notices.list.get() key=|n| n.id let:notice>
                <OneNotice notice notices />
            </For>
        </div>
    }
}

#[component]
fn OneNotice(notice: Notice, notices: Notices) -> impl IntoView {
    let id = notice.id;
    let action = notice.action.map(|(label, act)| {
        view! {
            <div class="actions">
                <button
                    type="button"
                    class="button small"
                    on:click=move |_| {
                        act.run(());
                        notices.dismiss(id);
                    }
                >
                    {label}
                </button>
            </div>
        }
    });
    view! {
        <div class=notice.tone.class()>
            <div class="grow">
                <span class="notice-text">{notice.text}</span>
                {action}
            </div>
            <button
                type="button"
                class="icon-button"
                aria-label="Dismiss"
                on:click=move |_| notices.dismiss(id)
            >
                {icon("close")}
            </button>
        </div>
    }
}
