//! Event time against processing time: the ideal line, the watermark, windows that fired, and each
//! record with a shape for what became of it.

use sim_core::view::{EventTimePlot, PlotVerdict, event_time_words};

use crate::tree::{El, Kid, el, svg};

/// The size of the drawing, and the margins left and below.
const SIZE: (f64, f64) = (640.0, 300.0);
const MARGIN: (f64, f64) = (52.0, 34.0);

/// Where times stand.
struct Scale {
    event: (f64, f64),
    processing: (f64, f64),
}

impl Scale {
    /// Over all that is shown, ms.
    fn new(plot: &EventTimePlot) -> Self {
        let processing = (
            plot.from as f64 / 1e6,
            (plot.to as f64 / 1e6).max(plot.from as f64 / 1e6 + 1_000.0),
        );
        let records = plot.records.iter().map(|it| it.event_time);
        let windows = plot.windows.iter().flat_map(|it| [it.start, it.end]);
        let marks = plot
            .watermarks
            .iter()
            .flat_map(|it| it.1.iter().map(|it| it.1));
        let finite = records.chain(windows).chain(marks);
        let finite = finite.filter(|it| *it != i64::MAX && *it != i64::MIN);
        let (low, high) = finite.fold((f64::MAX, f64::MIN), |(low, high), it| {
            (low.min(it as f64), high.max(it as f64))
        });
        let event = if low < high {
            (low.min(processing.0), high)
        } else {
            processing
        };
        Scale { event, processing }
    }

    fn x(&self, ms: f64) -> f64 {
        let (low, high) = self.event;
        let share = ((ms - low) / (high - low).max(1.0)).clamp(0.0, 1.0);
        MARGIN.0 + share * (SIZE.0 - MARGIN.0 - 12.0)
    }

    fn y(&self, ms: f64) -> f64 {
        let (low, high) = self.processing;
        let share = ((ms - low) / (high - low).max(1.0)).clamp(0.0, 1.0);
        SIZE.1 - MARGIN.1 - share * (SIZE.1 - MARGIN.1 - 12.0)
    }
}

fn text(x: f64, y: f64, words: String, end: bool) -> El {
    svg("text")
        .is("x", format!("{x:.1}"))
        .is("y", format!("{y:.1}"))
        .is("text-anchor", if end { "end" } else { "middle" })
        .with(words)
}

/// Five moments of an axis, each in whole tenths of seconds.
fn ticks((low, high): (f64, f64)) -> impl Iterator<Item = f64> {
    (0..5).map(move |i| ((low + (high - low) * f64::from(i) / 4.0) / 100.0).round() * 100.0)
}

/// The plot with its legend; nothing if no operator judges by time.
pub(super) fn plot(plot: &EventTimePlot) -> Vec<Kid> {
    if plot.operator.is_empty() {
        return Vec::new();
    }
    let scale = Scale::new(plot);
    let late = plot
        .records
        .iter()
        .filter(|it| it.verdict != PlotVerdict::Taken)
        .count();
    let said = format!(
        "Event time against processing time at {}: {} records, {late} of them late; windows that fired: {}.",
        plot.operator,
        plot.records.len(),
        plot.windows.len()
    );
    let mut art = svg("svg")
        .class("jb-art")
        .is("viewBox", format!("0 0 {} {}", SIZE.0, SIZE.1))
        .is("role", "img")
        .label(said.clone());
    let ground = SIZE.1 - MARGIN.1;
    for it in plot
        .windows
        .iter()
        .filter(|it| it.end != i64::MAX && it.start != i64::MIN)
    {
        let (x, u, y) = (
            scale.x(it.start as f64),
            scale.x(it.end as f64),
            scale.y(it.at as f64 / 1e6),
        );
        art = art.with(
            svg("rect")
                .class("jb-pane")
                .is("x", format!("{:.1}", x + 1.0))
                .is("y", format!("{y:.1}"))
                .is("width", format!("{:.1}", (u - x - 2.0).max(1.0)))
                .is("height", format!("{:.1}", (ground - y).max(1.0))),
        );
    }
    for ms in ticks(scale.event) {
        art = art.with(text(
            scale.x(ms),
            ground + 14.0,
            event_time_words(Some(ms as i64)),
            false,
        ));
    }
    for ms in ticks(scale.processing) {
        let y = scale.y(ms);
        art = art.with(text(
            MARGIN.0 - 5.0,
            y + 4.0,
            event_time_words(Some(ms as i64)),
            true,
        ));
    }
    art = art
        .with(text(
            SIZE.0 / 2.0,
            SIZE.1 - 4.0,
            "event time →".to_owned(),
            false,
        ))
        .with(text(MARGIN.0 + 4.0, 10.0, "↑ processing time".to_owned(), false).class("jb-up"));
    let (from, to) = (
        scale.event.0.max(scale.processing.0),
        scale.event.1.min(scale.processing.1),
    );
    if from < to {
        art = art.with(path(
            "jb-ideal",
            &[(scale.x(from), scale.y(from)), (scale.x(to), scale.y(to))],
        ));
    }
    for (_, curve) in &plot.watermarks {
        // It stands until it moves.
        let mut points = Vec::new();
        let mut last = None;
        let finite = curve.iter().filter(|it| it.1 != i64::MAX);
        for (at, mark) in finite {
            let (x, y) = (scale.x(*mark as f64), scale.y(*at as f64 / 1e6));
            if let Some(last) = last {
                points.push((last, y));
            }
            points.push((x, y));
            last = Some(x);
        }
        art = art.with(path("jb-curve", &points));
    }
    for it in &plot.records {
        let (x, y) = (scale.x(it.event_time as f64), scale.y(it.at as f64 / 1e6));
        let class = format!("jb-dot k{} {}", it.key_number % 6, name(it.verdict));
        let dot = mark(it.verdict, x, y).class(class);
        art = art.with(dot.with(svg("title").with(it.text.clone())));
    }
    vec![
        el("h3").with(format!("Time at {}", plot.operator)).into(),
        el("p").class("muted").test("plot-words").with(said).into(),
        art.into(),
        legend().into(),
    ]
}

fn path(class: &'static str, points: &[(f64, f64)]) -> El {
    let mut d = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        d.push_str(&format!("{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' }));
    }
    svg("path").class(class).is("d", d)
}

fn name(verdict: PlotVerdict) -> &'static str {
    match verdict {
        PlotVerdict::Taken => "taken",
        PlotVerdict::TakenLate => "taken-late",
        PlotVerdict::SideOutput => "side-output",
        PlotVerdict::Dropped => "dropped",
    }
}

/// Circle, diamond, triangle, cross.
fn mark(verdict: PlotVerdict, x: f64, y: f64) -> El {
    let d = match verdict {
        PlotVerdict::Taken => {
            format!("M{:.1} {y:.1}a5 5 0 1 0 10 0a5 5 0 1 0-10 0z", x - 5.0)
        }
        PlotVerdict::TakenLate => format!("M{x:.1} {:.1}l6.5 6.5l-6.5 6.5l-6.5-6.5z", y - 6.5),
        PlotVerdict::SideOutput => format!("M{x:.1} {:.1}l6.5 11h-13z", y - 7.0),
        PlotVerdict::Dropped => {
            format!("M{:.1} {:.1}l10 10m0-10l-10 10", x - 5.0, y - 5.0)
        }
    };
    svg("path").is("d", d)
}

fn legend() -> El {
    let row = |verdict: PlotVerdict, words: &'static str| {
        let sample = svg("svg")
            .class("jb-sample")
            .is("viewBox", "0 0 16 16")
            .mute();
        let dot = mark(verdict, 8.0, 8.0).class(format!("jb-dot k0 {}", name(verdict)));
        el("span")
            .class("gb-key")
            .with(sample.with(dot))
            .with(words)
    };
    el("p")
        .class("gb-legend")
        .with(row(PlotVerdict::Taken, "taken"))
        .with(row(PlotVerdict::TakenLate, "late, taken"))
        .with(row(PlotVerdict::SideOutput, "late, side output"))
        .with(row(PlotVerdict::Dropped, "late, dropped"))
        .with(el("span").class("gb-key").with("solid line: watermark"))
        .with(el("span").class("gb-key").with("dotted line: ideal"))
        .with(
            el("span")
                .class("gb-key")
                .with("box: a window until it fired"),
        )
}
