//! Event time against processing time: the ideal line, the watermark, windows that fired, and each
//! record with a shape for what became of it.

use sim_core::view::{EventTimePlot, JobView, PlotVerdict, PlotWindow, event_time_words};

use super::words;
use crate::tree::{El, Kid, el, svg};

/// Least and greatest width of the drawing, px.
const WIDTH: (f64, f64) = (280.0, 900.0);
/// Least and greatest height.
const HEIGHT: (f64, f64) = (190.0, 320.0);
/// The margins left and below.
const MARGIN: (f64, f64) = (54.0, 34.0);
/// Steps of an axis, s.
const STEPS: [u32; 18] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200,
    86_400,
];

/// Where times stand.
struct Scale {
    size: (f64, f64),
    event: (f64, f64),
    processing: (f64, f64),
}

/// A window that is open still: first moment, and the moment after the last.
type Open = (i64, i64);

/// The windows that the judge keeps and that have not fired.
fn open(plot: &EventTimePlot, job: &JobView) -> Vec<Open> {
    let judges = |name: &str| name.split(" → ").any(|it| it == plot.operator);
    let vertices = job.vertices.iter().filter(|it| judges(&it.name));
    let windows = vertices
        .flat_map(|it| &it.subtasks)
        .flat_map(|it| &it.windows);
    let finite = windows.filter(|it| it.end != i64::MAX && it.start != i64::MIN);
    let mut found: Vec<Open> = finite.map(|it| (it.start, it.end)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// How a window is drawn: until it fired, and after that until it was purged.
fn stages(it: &PlotWindow, open: &[Open], now: u64) -> (Option<u64>, Option<(u64, u64)>) {
    let fired = (it.times > 0).then_some(it.at);
    let kept = open.contains(&(it.start, it.end));
    let until = match &it.purged {
        Some((at, _)) if !kept => Some(*at),
        _ => kept.then_some(now),
    };
    (fired, fired.zip(until).filter(|(from, to)| from < to))
}

impl Scale {
    /// Over all that is shown, ms.
    fn new(plot: &EventTimePlot, open: &[Open], width: f64) -> Self {
        let width = width.clamp(WIDTH.0, WIDTH.1);
        let size = (width, (width * 0.5).clamp(HEIGHT.0, HEIGHT.1));
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
        let open = open.iter().flat_map(|it| [it.0, it.1]);
        // A watermark before the first record is that record's time less a bound: it stands at the
        // edge. Both axes go as far as the clock, so that the distance from the ideal line is seen.
        let happened = records.chain(windows).chain(open);
        let happened = happened.map(|it| (it, it));
        let finite = happened.chain(marks.map(|it| (i64::MAX, it)));
        let event = finite.fold(processing, |(low, high), it| {
            let is = |it: i64| Some(it as f64).filter(|_| it != i64::MAX && it != i64::MIN);
            (
                is(it.0).map_or(low, |it| low.min(it)),
                is(it.1).map_or(high, |it| high.max(it)),
            )
        });
        Scale {
            size,
            event,
            processing,
        }
    }

    /// The height of the axis.
    fn ground(&self) -> f64 {
        self.size.1 - MARGIN.1
    }

    fn x(&self, ms: f64) -> f64 {
        let (low, high) = self.event;
        let share = ((ms - low) / (high - low).max(1.0)).clamp(0.0, 1.0);
        MARGIN.0 + share * (self.size.0 - MARGIN.0 - 14.0)
    }

    /// A window from one moment of processing time, or the ground, to another.
    fn pane(&self, (start, end): Open, from: Option<f64>, to: f64) -> El {
        let (x, u) = (self.x(start as f64), self.x(end as f64));
        let low = from.map_or(self.ground(), |it| self.y(it));
        let y = self.y(to);
        svg("rect")
            .is("x", format!("{:.1}", x + 1.0))
            .is("y", format!("{y:.1}"))
            .is("width", format!("{:.1}", (u - x - 2.0).max(1.0)))
            .is("height", format!("{:.1}", (low - y).max(1.0)))
    }

    fn y(&self, ms: f64) -> f64 {
        let (low, high) = self.processing;
        let share = ((ms - low) / (high - low).max(1.0)).clamp(0.0, 1.0);
        self.ground() - share * (self.ground() - 16.0)
    }
}

/// A window as it was kept: until it fired, until it was purged, and the mark of that.
fn window(it: &PlotWindow, open: &[Open], now: u64, scale: &Scale) -> Vec<El> {
    let ms = |ns: u64| ns as f64 / 1e6;
    let bounds = (it.start, it.end);
    let (fired, kept) = stages(it, open, now);
    let mut out = Vec::new();
    if let Some((from, to)) = kept {
        let pane = scale.pane(bounds, Some(ms(from)), ms(to));
        out.push(pane.class("jb-pane kept"));
    }
    if let Some(at) = fired {
        out.push(scale.pane(bounds, None, ms(at)).class("jb-pane"));
    }
    if let Some((at, _)) = &it.purged {
        let (x, u) = (scale.x(it.start as f64), scale.x(it.end as f64));
        let (y, m) = (scale.y(ms(*at)), (x + u) / 2.0);
        let d = format!(
            "M{:.1} {y:.1}H{:.1}M{:.1} {:.1}l8 8m0-8l-8 8",
            x + 1.0,
            (u - 1.0).max(x + 2.0),
            m - 4.0,
            y - 4.0
        );
        let mark = svg("path").class("jb-purge").is("d", d);
        out.push(mark.with(svg("title").with(words::plot_window(it))));
    }
    out
}

fn text(x: f64, y: f64, words: String, end: bool) -> El {
    svg("text")
        .is("x", format!("{x:.1}"))
        .is("y", format!("{y:.1}"))
        .is("text-anchor", if end { "end" } else { "middle" })
        .with(words)
}

/// Round moments of an axis, `most` at most, ms.
fn ticks((low, high): (f64, f64), most: f64) -> Vec<f64> {
    let steps = STEPS.iter().map(|it| f64::from(*it) * 1_000.0);
    let fits = |step: &f64| (high - low) / step <= most;
    let step = steps.into_iter().find(fits);
    let step = step.unwrap_or((high - low) / most).max(1.0);
    let mut out = Vec::new();
    let mut at = (low / step).ceil() * step;
    while at <= high {
        out.push(at);
        at += step;
    }
    out
}

/// The plot with its legend; nothing if no operator judges by time.
pub(super) fn plot(plot: &EventTimePlot, job: &JobView, width: f64) -> Vec<Kid> {
    if plot.operator.is_empty() {
        return Vec::new();
    }
    let open = open(plot, job);
    let scale = Scale::new(plot, &open, width);
    let late = plot
        .records
        .iter()
        .filter(|it| it.verdict != PlotVerdict::Taken)
        .count();
    let fired = plot.windows.iter().filter(|it| it.times > 0).count();
    let purged = plot.windows.iter().filter(|it| it.purged.is_some()).count();
    let said = format!(
        "Event time against processing time at {}: {} records, {late} of them late; windows that fired: {fired}, and that were purged: {purged}.",
        plot.operator,
        plot.records.len(),
    );
    let (wide, high) = scale.size;
    let mut art = svg("svg")
        .class("jb-art")
        .is("viewBox", format!("0 0 {wide:.0} {high:.0}"))
        .is("role", "img")
        .label(said);
    let ground = scale.ground();
    let known = |at: &Open| plot.windows.iter().any(|it| (it.start, it.end) == *at);
    for (start, end) in open.iter().filter(|it| !known(it)) {
        let pane = scale.pane((*start, *end), None, plot.to as f64 / 1e6);
        art = art.with(pane.class("jb-pane open"));
    }
    let finite = |it: &&PlotWindow| it.end != i64::MAX && it.start != i64::MIN;
    for it in plot.windows.iter().filter(finite) {
        art = art.all(window(it, &open, plot.to, &scale));
    }
    for ms in ticks(scale.event, (wide - MARGIN.0) / 78.0) {
        art = art.with(text(
            scale.x(ms).min(wide - 26.0),
            ground + 14.0,
            event_time_words(Some(ms as i64)),
            false,
        ));
    }
    for ms in ticks(scale.processing, (high - MARGIN.1) / 34.0) {
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
            wide / 2.0,
            high - 4.0,
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
    let many = plot.watermarks.len() > 1;
    for (number, curve) in &plot.watermarks {
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
        let dashes = number.saturating_sub(1) % 4;
        art = art.with(path(format!("jb-curve c{dashes}"), &points));
        if let Some((x, y)) = points.last().filter(|_| many) {
            let name = text(*x + 3.0, *y - 4.0, format!("#{number}"), false);
            art = art.with(name.class("jb-up jb-name"));
        }
    }
    for it in &plot.records {
        let (x, y) = (scale.x(it.event_time as f64), scale.y(it.at as f64 / 1e6));
        let class = format!("jb-dot k{} {}", it.key_number % 6, name(it.verdict));
        let dot = mark(it.verdict, x, y).class(class);
        art = art.with(dot.with(svg("title").with(it.text.clone())));
    }
    let windows = match plot.windows.is_empty() {
        true => String::new(),
        false => format!(" · windows: {fired} fired, {purged} purged"),
    };
    let counts = format!(" {} records, {late} late{windows}", plot.records.len());
    let counts = el("span").class("muted").test("plot-words").with(counts);
    // Where there are several operators the name stands in their list.
    let heading = match plot.judges.len() {
        0 | 1 => el("h3").with(format!("Time at {}", plot.operator)),
        _ => el("p").class("jb-counts"),
    };
    let by_clock = (!plot.by_event_time).then(|| {
        let says = "It works by processing time: no record is late, whatever its event time.";
        el("p").class("jb-newest").with(says).into()
    });
    // Of late records the newest has its sentence in sight.
    let told = |it: &&sim_core::view::PlotRecord| it.verdict != PlotVerdict::Taken;
    let newest = plot.records.iter().rev().find(told).or(plot.records.last());
    let newest = newest.map(|it| {
        let p = el("p").class("jb-newest").test("plot-newest");
        p.with(it.text.clone()).into()
    });
    let mut out: Vec<Kid> = vec![heading.with(counts).into(), art.into()];
    out.extend(by_clock.or(newest));
    let panes = !plot.windows.is_empty() || !open.is_empty();
    out.push(legend(plot, panes, purged > 0).into());
    out
}

fn path(class: impl Into<crate::tree::Words>, points: &[(f64, f64)]) -> El {
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

/// The legend, of what there is to see.
fn legend(plot: &EventTimePlot, panes: bool, purged: bool) -> El {
    let curves = plot.watermarks.iter().map(|it| it.0);
    let verdicts = [
        (PlotVerdict::Taken, "taken"),
        (PlotVerdict::TakenLate, "late, taken"),
        (PlotVerdict::SideOutput, "late, side output"),
        (PlotVerdict::Dropped, "late, dropped"),
    ];
    let seen = |it: &PlotVerdict| plot.records.iter().any(|record| record.verdict == *it);
    let verdicts = verdicts.into_iter().filter(|it| seen(&it.0));
    let row = |(verdict, words): (PlotVerdict, &'static str)| {
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
    let many = curves.len() > 1;
    let curve = |number: u32| {
        let sample = svg("svg")
            .class("jb-sample wide")
            .is("viewBox", "0 0 36 16")
            .mute();
        let dashes = number.saturating_sub(1) % 4;
        let line = svg("path").class(format!("jb-curve c{dashes}"));
        let words = match many {
            true => format!("watermark of #{number}"),
            false => "watermark".to_owned(),
        };
        let line = sample.with(line.is("d", "M1 8H35"));
        el("span").class("gb-key").with(line).with(words)
    };
    el("p")
        .class("gb-legend")
        .all(curves.take(4).map(curve))
        .all(verdicts.map(row))
        .with(el("span").class("gb-key").with("dots: ideal"))
        .all(panes.then(|| {
            let says = "box: a window until it fired, dashed: open, pale: kept";
            el("span").class("gb-key").with(says)
        }))
        .all(purged.then(|| {
            let sample = svg("svg")
                .class("jb-sample")
                .is("viewBox", "0 0 16 16")
                .mute();
            let bar = svg("path")
                .class("jb-purge")
                .is("d", "M0 8H16M4 4l8 8m0-8l-8 8");
            el("span")
                .class("gb-key")
                .with(sample.with(bar))
                .with("purged")
        }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_of_an_axis_are_round_and_few() {
        let check = |axis, most, expected: &[f64]| assert_eq!(ticks(axis, most), expected);
        check((0.0, 12_000.0), 4.0, &[0.0, 5_000.0, 10_000.0]);
        check((1_500.0, 8_000_000.0), 3.0, &[3_600_000.0, 7_200_000.0]);
        check(
            (-2_000.0, 3_000.0),
            5.0,
            &[-2_000.0, -1_000.0, 0.0, 1_000.0, 2_000.0, 3_000.0],
        );
    }
}
