//! Reference: the glossary, the keys, and what the simulator keeps and leaves out.

use leptos::prelude::*;

use crate::app::page;
use crate::bench::KeysTable;
use crate::ui::glossary::GLOSSARY;
use crate::ui::tabs::focus_by_id;

/// What is left out, and what that means for what one sees. Kept beside the engine's own list.
const SIMPLIFICATIONS: &[(&str, &str)] = &[
    (
        "Time costs only where the scenario says so",
        "A node handles a message in no time unless it was slowed; links delay by their profile. \
         Throughput limits of real machines are not modelled unless a scenario sets them.",
    ),
    (
        "One process per node, no threads inside",
        "Request queues, network threads and handler threads of a broker are one. What they could \
         reorder inside one broker cannot happen here.",
    ),
    (
        "Bytes are counted, not kept",
        "A record is its key, its size and its identity; values are not stored or compressed.",
    ),
    (
        "A group speaks one protocol",
        "The classic one or that of KIP-848, from its first member on: groups are not converted \
         while they run. A member reads one topic, others of its group may read another, and none \
         has a rebalance listener of its own.",
    ),
    (
        "Share groups: members are in no log",
        "Locks, delivery counts, acknowledgements and share coordinators with their log, which they \
         prune, are acted out (KIP-932). Members are not written down: a new coordinator of the \
         group is told again who is there. States are neither initialised by the group's \
         coordinator nor deleted (InitializeShareGroupState, DeleteShareGroupState); one begins \
         with its leader's first write.",
    ),
    (
        "No security",
        "Authentication, authorisation and TLS are left out; they change no rule shown here.",
    ),
];

/// The page.
#[component]
pub(crate) fn Reference() -> impl IntoView {
    page("Reference", false);
    let jump = |id: &'static str, name: &'static str| {
        view! {
            <li>
                <button type="button" class="link-button" on:click=move |_| focus_by_id(id)>
                    {name}
                </button>
            </li>
        }
    };
    view! {
        <div class="page reference" data-testid="reference">
            <div class="page-head">
                <h1>"Reference"</h1>
                <p>"Names are Kafka's own, as of version 4.x, and so are the defaults."</p>
            </div>
            <nav aria-label="On this page">
                <ul class="jumps">
                    {jump("glossary", "Glossary")} {jump("left-out", "What is left out")}
                    {jump("keyboard", "Keyboard")} {jump("marks", "How to read the stage")}
                </ul>
            </nav>
            <section>
                <h2 id="glossary" tabindex="-1">
                    "Glossary"
                </h2>
                <dl class="glossary">
                    {GLOSSARY
                        .iter()
                        .map(|e| {
                            view! {
                                <div>
                                    <dt>{e.name}</dt>
                                    <dd>{e.meaning}</dd>
                                </div>
                            }
                        })
                        .collect_view()}
                </dl>
            </section>
            <section>
                <h2 id="left-out" tabindex="-1">
                    "What is left out"
                </h2>
                <p>
                    "The protocol's rules are followed to the letter, with the bugs of history as
                    switches. These things are simpler than in a real cluster:"
                </p>
                <dl class="glossary">
                    {SIMPLIFICATIONS
                        .iter()
                        .map(|(what, why)| {
                            view! {
                                <div>
                                    <dt>{*what}</dt>
                                    <dd>{*why}</dd>
                                </div>
                            }
                        })
                        .collect_view()}
                </dl>
            </section>
            <section>
                <h2 id="marks" tabindex="-1">
                    "How to read the stage"
                </h2>
                <Reading />
            </section>
            <section>
                <h2 id="keyboard" tabindex="-1">
                    "Keyboard"
                </h2>
                <KeysTable />
            </section>
        </div>
    }
}

#[component]
fn Reading() -> impl IntoView {
    let rows = [
        (
            "solid cell",
            "a record below the high watermark: a clean failover keeps it",
        ),
        (
            "hatched cell",
            "a record above it: it may be taken by the next failover",
        ),
        (
            "the wavy line",
            "the high watermark, the strandline; it reaches only in-sync replicas",
        ),
        (
            "the straight mark at a strip's end",
            "LEO, where the next record will go",
        ),
        (
            "dashed card or strip",
            "a replica that is not in the ISR, or a node that is down",
        ),
        (
            "rounded square on the way",
            "records: a produce request or an answer to a fetch",
        ),
        ("circle", "an acknowledgement"),
        (
            "triangle",
            "a fetch, which also says how far its sender has come",
        ),
        ("diamond", "a heartbeat"),
        ("hexagon", "a vote of the controller quorum"),
        ("small turned square", "metadata"),
    ];
    view! {
        <div class="table-wrap" tabindex="0" role="region" aria-label="Table">
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"You see"</th>
                        <th scope="col">"It means"</th>
                    </tr>
                </thead>
                <tbody>
                    {rows
                        .into_iter()
                        .map(|(see, means)| {
                            view! {
                                <tr>
                                    <th scope="row">{see}</th>
                                    <td>{means}</td>
                                </tr>
                            }
                        })
                        .collect_view()}
                </tbody>
            </table>
        </div>
    }
}
