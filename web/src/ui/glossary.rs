//! The glossary, and the small window that explains a term where it stands.
//!
//! Any element with the class `term` and a `data-term` opens the window on hover, focus and tap,
//! wherever it is on the page; lessons write such elements as plain HTML. The definitions follow
//! Apache Kafka 4.x; the reference page shows them all.

use leptos::ev;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// A term: key, name, what it means.
pub(crate) struct Entry {
    /// How `data-term` names it.
    pub(crate) key: &'static str,
    /// The name as people write it.
    pub(crate) name: &'static str,
    /// One or two sentences.
    pub(crate) meaning: &'static str,
}

const fn e(key: &'static str, name: &'static str, meaning: &'static str) -> Entry {
    Entry { key, name, meaning }
}

/// All terms, by name.
pub(crate) const GLOSSARY: &[Entry] = &[
    e(
        "acks",
        "acks",
        "How many copies a producer waits for: 0 none, 1 the leader alone, all every replica in the ISR.",
    ),
    e(
        "alignment",
        "alignment",
        "A subtask of a job holds the channels whose barrier has come until the barriers of all others are there too. What waits behind a barrier belongs to the next checkpoint.",
    ),
    e(
        "alter-partition",
        "AlterPartition",
        "The request by which a leader asks the controller to change the ISR. Growth counts for the high watermark before it is granted, shrinking only after.",
    ),
    e(
        "backpressure",
        "backpressure",
        "A task that finds no free buffer for what it puts out stops, and so on back to the source. Nothing is dropped; what is not read waits outside.",
    ),
    e(
        "barrier",
        "barrier",
        "A mark that sources put among their records when a checkpoint begins. What is before it belongs to the checkpoint, what is behind it does not.",
    ),
    e(
        "batch",
        "batch",
        "Records of one producer for one partition that travel, are written and are acknowledged together.",
    ),
    e(
        "broker",
        "broker",
        "A server that holds replicas of partitions and answers producers, consumers and other brokers.",
    ),
    e(
        "broker-epoch",
        "broker epoch",
        "A number given to a broker each time it registers, so that requests of its former life can be told apart.",
    ),
    e(
        "checkpoint",
        "checkpoint",
        "A job's state and the positions of its sources, cut by barriers so that they belong together. It is complete when every task has acknowledged it.",
    ),
    e(
        "controller",
        "controller",
        "The member of the KRaft quorum that decides who leads each partition and who is in its ISR.",
    ),
    e(
        "elr",
        "ELR",
        "Eligible leader replicas (KIP-966): replicas that left the ISR while it was below the minimum and still hold everything committed, so they may lead without loss.",
    ),
    e(
        "event-time",
        "event time",
        "When something happened, as its record says; not when the record came.",
    ),
    e(
        "fencing",
        "fencing",
        "The controller takes a broker it has not heard from for broker.session.timeout.ms out of every ISR and leadership. The broker itself may not know.",
    ),
    e(
        "fetch",
        "Fetch",
        "The request by which followers copy and consumers read. A follower's fetch at offset n also says: I hold everything below n.",
    ),
    e(
        "follower",
        "follower",
        "A replica that copies its leader's log by fetching.",
    ),
    e(
        "high-watermark",
        "high watermark",
        "The offset below which every in-sync replica holds the log. Consumers read up to it, and a clean failover keeps all that is below. On the stage it is the strandline.",
    ),
    e(
        "idempotence",
        "idempotent producer",
        "A producer whose batches carry producer id, epoch and sequence number, so that a broker recognises a retry and does not write it twice.",
    ),
    e(
        "isr",
        "ISR",
        "In-sync replicas: the leader and those followers that have caught up with it within replica.lag.time.max.ms. The controller holds the list.",
    ),
    e(
        "kraft",
        "KRaft",
        "Kafka's own Raft: the controllers keep the cluster's metadata as a log replicated by majority.",
    ),
    e(
        "leader",
        "leader",
        "The replica that takes writes for a partition. All reads and writes pass through it.",
    ),
    e(
        "leader-epoch",
        "leader epoch",
        "A number that grows with every change of leader. Each batch carries it, and followers compare it to find where their logs part.",
    ),
    e(
        "leo",
        "LEO",
        "Log end offset: the offset that the next record of this replica will get.",
    ),
    e(
        "linger",
        "linger.ms",
        "How long a producer waits for more records before it sends a batch that is not full. 5 ms by default since 4.0.",
    ),
    e(
        "min-isr",
        "min.insync.replicas",
        "With acks=all, writes are refused while the ISR is smaller than this; and below it the high watermark stands still.",
    ),
    e(
        "offset",
        "offset",
        "A record's position in its partition: 0, 1, 2, …",
    ),
    e(
        "page-cache",
        "page cache",
        "Memory in which the operating system keeps what was written until it is flushed. A killed process keeps it; a power loss does not.",
    ),
    e(
        "pane",
        "pane",
        "What a window puts out each time that it speaks: early, on time or late.",
    ),
    e(
        "partition",
        "partition",
        "One ordered log of a topic; the unit of order, of leadership and of parallel work. (Also: a network partition, a cut between nodes.)",
    ),
    e(
        "pre-commit",
        "pre-commit",
        "The first of two phases: a sink flushes its transaction when the barrier comes, and puts the handle into its snapshot. It commits when the checkpoint is complete.",
    ),
    e(
        "processing-time",
        "processing time",
        "What the clock of the machine says when a record is worked on.",
    ),
    e(
        "purgatory",
        "purgatory",
        "Where a broker keeps requests that wait for something: acks=all writes for the high watermark, fetches for data.",
    ),
    e("replica", "replica", "A copy of a partition on one broker."),
    e(
        "session",
        "session",
        "A window that records make themselves: it ends when none has come for the length of a gap. Windows that meet are merged.",
    ),
    e(
        "split-brain",
        "split brain",
        "Two nodes that both believe they lead. The old leader keeps answering until it learns of the new epoch.",
    ),
    e(
        "strandline",
        "strandline",
        "The high watermark as this site draws it: what the tide leaves on the beach. Left of it records are solid, right of it the next failover may take them.",
    ),
    e(
        "trigger",
        "trigger",
        "What decides when a window speaks. By default it does once, when the watermark passes its last millisecond.",
    ),
    e(
        "truncation",
        "truncation",
        "A follower cuts off the end of its log where it parts from the new leader's. Records cut off above the high watermark were never promised.",
    ),
    e(
        "unaligned",
        "unaligned",
        "A checkpoint whose barriers overtake the records under way and take a copy of them along.",
    ),
    e(
        "unclean",
        "unclean leader election",
        "Choosing a leader outside ISR and ELR. The partition is available again, and acknowledged records may be gone.",
    ),
    e(
        "watermark",
        "watermark",
        "A bound that goes through a job among the records: a watermark of t says that no more records with a time of t or before will come. It is a guess where records may be late.",
    ),
    e(
        "zombie",
        "zombie leader",
        "A leader that was deposed and does not know it yet.",
    ),
];

/// The entry with this key.
pub(crate) fn find(key: &str) -> Option<&'static Entry> {
    GLOSSARY.iter().find(|e| e.key == key)
}

#[derive(Clone, PartialEq)]
struct Shown {
    key: String,
    x: f64,
    y: f64,
    above: bool,
}

fn term_under(ev: &web_sys::Event) -> Option<(web_sys::Element, String)> {
    let element = ev.target()?.dyn_into::<web_sys::Element>().ok()?;
    let element = element.closest(".term[data-term]").ok()??;
    let key = element.get_attribute("data-term")?;
    Some((element, key))
}

fn place(element: &web_sys::Element, key: String) -> Shown {
    let rect = element.get_bounding_client_rect();
    let width = window()
        .inner_width()
        .ok()
        .and_then(|w| w.as_f64())
        .unwrap_or(1000.0);
    let height = window()
        .inner_height()
        .ok()
        .and_then(|h| h.as_f64())
        .unwrap_or(800.0);
    let above = rect.bottom() + 190.0 > height;
    Shown {
        key,
        x: rect.left().min(width - 350.0).max(12.0),
        y: if above {
            height - rect.top() + 8.0
        } else {
            rect.bottom() + 8.0
        },
        above,
    }
}

/// The window itself; stands once in the page and listens to the whole document.
#[component]
pub(crate) fn GlossaryPopover() -> impl IntoView {
    let shown = RwSignal::new(None::<Shown>);
    let open = move |ev: &web_sys::Event| match term_under(ev) {
        Some((element, key)) => {
            // The term names its explanation, so that a screen reader reads it out.
            let _ = element.set_attribute("aria-describedby", "glossary-popover");
            shown.set(Some(place(&element, key)));
        }
        None => shown.set(None),
    };
    let handles = [
        window_event_listener(ev::mouseover, move |ev| open(&ev)),
        window_event_listener(ev::focusin, move |ev| open(&ev)),
        window_event_listener(ev::click, move |ev| open(&ev)),
        window_event_listener(ev::keydown, move |ev| {
            if ev.key() == "Escape" {
                shown.set(None);
            }
        }),
    ];
    on_cleanup(move || handles.into_iter().for_each(|h| h.remove()));
    view! {
        <div>
            {move || {
                let shown = shown.get()?;
                let entry = find(&shown.key)?;
                let px = |v: f64| format!("{v:.0}px");
                let (top, bottom) = if shown.above {
                    ("auto".to_owned(), px(shown.y))
                } else {
                    (px(shown.y), "auto".to_owned())
                };
                Some(
                    view! {
                        <div
                            id="glossary-popover"
                            role="tooltip"
                            class="popover"
                            style:left=px(shown.x)
                            style:top=top
                            style:bottom=bottom
                        >
                            <span class="popover-title">{entry.name}</span>
                            {entry.meaning}
                        </div>
                    },
                )
            }}
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_names_are_sorted() {
        for pair in GLOSSARY.windows(2) {
            let [a, b] = pair else { continue };
            assert!(
                a.name.to_lowercase() < b.name.to_lowercase(),
                "{} before {}",
                a.name,
                b.name
            );
            assert_eq!(
                GLOSSARY.iter().filter(|e| e.key == a.key).count(),
                1,
                "{}",
                a.key
            );
        }
    }
}
