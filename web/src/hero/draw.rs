//! The home page as a tree of elements: its words, what can be done to the cluster, and a workbench
//! with no more than stage, ledger and time.

use super::deeds::Act;
use super::home::Shown;
use crate::bench::{ledger_strip, timeline_art};
use crate::format::{clock, clock_micros, count};
use crate::tree::{El, Kid, button, el};
use crate::ui::icons::glyph;

/// Where each way leads, what it is called, and what one finds there.
const WAYS: [[&str; 3]; 3] = [
    [
        "course",
        "Take the course",
        "Predict, run, ask why. Every claim is executed by its tests.",
    ],
    [
        "sandbox",
        "Build your own",
        "Brokers, partitions, acks, load: then kill what you like.",
    ],
    [
        "scenarios",
        "Open a failure",
        "Lost writes, split brain, unclean elections: one file each.",
    ],
];

/// The page, but for what the stage draws into `.stage` and the application into `.home-words`.
pub(super) fn page(shown: &Shown) -> Vec<Kid> {
    vec![column(shown).into(), workbench(shown).into()]
}

fn column(shown: &Shown) -> El {
    let way = |[href, name, text]: [&'static str; 3]| {
        let link = el("a").is("href", href);
        let link = link.with(el("strong").with(name));
        el("li").with(link.with(el("span").with(text)))
    };
    let term = el("span")
        .class("term")
        .is("tabindex", "0")
        .is("data-term", "strandline")
        .with("strandline");
    let lead = el("p")
        .class("lead")
        .with(
            "This is a Kafka cluster, running in your browser by Kafka's own rules. Three brokers \
             copy one log. The ",
        )
        .with(term)
        .with(
            " marks what every in-sync copy holds: what lies right of it may be gone with the next \
             tide.",
        );
    el("div")
        .class("column")
        .with(el("p").class("eyebrow").with("A simulator and a course"))
        .with(el("h1").with("Learn streaming systems by breaking them"))
        .with(lead)
        .with(break_it(shown))
        .with(el("ul").class("home-ways").all(WAYS.map(way)))
}

/// Kill the leader, or bring it back: whatever can be done to the first partition's leader now.
fn break_it(shown: &Shown) -> El {
    let name = match &shown.act {
        Act::Calm(_, title) | Act::Over(_, title) => format!("Kill {title}, the leader"),
        Act::Orphaned(_) => "Waiting for a new leader".to_owned(),
        Act::Lost => "No leader is left".to_owned(),
    };
    let waits = matches!(shown.act, Act::Orphaned(_) | Act::Lost);
    let kill = button("button primary")
        .test("kill-leader")
        .is("data-act", "kill")
        .is("aria-disabled", waits.to_string())
        .with(glyph("crash"))
        .with(name);
    let undo = shown.hud.undo.is_some().then(|| {
        button("button")
            .test("undo-home")
            .is("data-act", "undo")
            .with(glyph("undo"))
            .with("Undo")
    });
    let told = el("p")
        .class("break-told small")
        .is("role", "status")
        .test("home-told")
        .all(told(shown));
    let next = waits.then(|| {
        button("link-button small")
            .test("home-next")
            .is("data-act", "next")
            .with("Skip to what happens next")
    });
    el("div")
        .class("break-it")
        .with(kill)
        .all(undo)
        .with(told)
        .all(next)
}

/// What came of it so far.
fn told(shown: &Shown) -> Option<String> {
    match &shown.act {
        Act::Calm(..) => None,
        Act::Orphaned(title) => Some(format!(
            "{title} is down. The controller gives it nine seconds before another broker leads."
        )),
        Act::Over(_, title) => {
            let lost = match shown.ledger.lost {
                0 => "No acknowledged record is lost.".to_owned(),
                1 => "One acknowledged record is lost.".to_owned(),
                n => format!("{n} acknowledged records are lost."),
            };
            Some(format!("{title} leads now. {lost}"))
        }
        Act::Lost => Some("No broker that is in sync runs. Bring one back with Undo.".to_owned()),
    }
}

fn workbench(shown: &Shown) -> El {
    let words = el("details")
        .class("stage-words")
        .test("stage-words")
        .with(el("summary").with("The stage in words"))
        .with(
            el("div")
                .class("home-words")
                .all(shown.instead.map(|text| el("p").class("muted").with(text))),
        );
    let panel = el("div")
        .class("panel panel-stage")
        .is("id", "panel-stage")
        .test("panel-stage")
        .with(el("section").class("stage").test("stage"))
        .with(words);
    let ledger = el("dl")
        .class("ledger-strip")
        .test("ledger")
        .label("Truth ledger")
        .all(ledger_strip(&shown.ledger));
    let announcer = el("div")
        .class("sr-only")
        .is("role", "status")
        .test("announcer")
        .with(shown.aloud.clone());
    el("section")
        .class("workbench is-glance")
        .label("Simulation")
        .test("workbench")
        .with(
            el("div")
                .class("bench-body")
                .with(el("div").class("bench-main").with(panel)),
        )
        .with(ledger)
        .with(transport(shown))
        .with(announcer)
}

fn transport(shown: &Shown) -> El {
    let hud = &shown.hud;
    let control = |act: &'static str, label: &'static str| {
        button("icon-button")
            .test(act)
            .is("data-act", act)
            .label(label)
            .is("title", label)
            .with(glyph(act))
    };
    let (now, sign) = match hud.playing {
        true => ("Pause", "pause-time"),
        false => ("Play", "play"),
    };
    let play = button("play-button")
        .test("play")
        .is("data-act", "play")
        .label(now)
        .is("title", "Play or pause (space)")
        .with(glyph(sign));
    let buttons = el("div")
        .class("transport-buttons")
        .is("role", "group")
        .label("Time")
        .with(control("rewind", "To the start"))
        .with(control("step-back", "One event back (←)"))
        .with(play)
        .with(control("step", "One event on (→)"));
    let fine = el("span").class("clock-fine").with(clock_micros(hud.now));
    let slow = hud.slow.then(|| "running slower than requested".to_owned());
    let reading = el("div")
        .class("reading")
        .with(
            el("span")
                .class("clock mono")
                .test("clock")
                .with(clock(hud.now))
                .with(fine),
        )
        .with(
            el("span")
                .class("event-number")
                .test("event-number")
                .with(format!("event {}", count(hud.event))),
        )
        .with(
            el("span")
                .class("slow-note")
                .is("role", "status")
                .test("pace-note")
                .all(hud.stopped.clone().or(slow)),
        );
    let slider =
        timeline_art::slider(hud, shown.dragging).all(timeline_art::picture(&shown.drawing, hud));
    let legend = el("ul")
        .class("legend")
        .all(timeline_art::legend(&shown.drawing));
    let timeline = el("div")
        .class("timeline")
        .with(slider)
        .with(el("div").class("timeline-foot").with(legend));
    el("div")
        .class("transport")
        .test("transport")
        .with(el("div").class("transport-row").with(buttons).with(reading))
        .with(el("div").class("timeline-row").with(timeline))
}
