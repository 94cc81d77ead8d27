//! Charts of the run's series. plotters draws an SVG text; its fixed colours are marker values
//! that are replaced by the site's custom properties, so a chart follows the theme without being
//! drawn again. Each chart has a sentence for each of its lines that says what it shows, and its
//! numbers as a table. Lines of a chart are told apart by their dashes as well.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use leptos::prelude::*;
use plotters::prelude::*;
use sim_core::view::Series;

use super::{now_ms, use_bench};
use crate::format::{clock, spoken};

const WIDTH: u32 = 480;
const HEIGHT: u32 = 180;
/// Least time between two drawings while time runs, ms. Sampling runs the past again.
const REDRAW_MS: f64 = 1_000.0;
/// Moments at which each series is sampled.
pub(super) const SAMPLES: u32 = 120;
/// Rows of the table under a chart.
const ROWS_MAX: usize = 40;
/// Points of a line that are drawn as such; more are a line only.
const DOTS_MAX: usize = 30;

/// Marker colours handed to plotters, and what the page draws instead.
const MARKERS: [((u8, u8, u8), &str); 4] = [
    ((1, 2, 3), "var(--series)"),
    ((1, 2, 4), "var(--muted)"),
    ((1, 2, 5), "var(--line)"),
    ((1, 2, 6), "var(--series-soft)"),
];

/// Dashes of a chart's lines, in order; there are as many colours.
const DASHES: [&str; 6] = ["none", "7 3", "2 3", "9 3 2 3", "4 2", "12 4"];

fn marker(i: usize) -> RGBColor {
    let (r, g, b) = MARKERS[i].0;
    RGBColor(r, g, b)
}

/// The marker of a line of several.
fn line_marker(i: usize) -> RGBColor {
    RGBColor(2, 0, (i % DASHES.len()) as u8)
}

/// A number on the axis: four characters or so.
fn short(n: i64) -> String {
    let (unit, each) = match n.unsigned_abs() {
        0..10_000 => return n.to_string(),
        10_000..1_000_000 => ("k", 1_000),
        1_000_000..1_000_000_000 => ("M", 1_000_000),
        _ => ("G", 1_000_000_000),
    };
    let tenths = n / (each / 10);
    match (tenths % 10, n.abs() < 100 * each) {
        (0, _) | (_, false) => format!("{}{unit}", tenths / 10),
        (part, _) => format!("{}.{}{unit}", tenths / 10, part.abs()),
    }
}

/// Draws the lines of a chart. `None` if plotters cannot (which it reports only for impossible
/// sizes).
fn draw(lines: &[Series], end: u64) -> Option<String> {
    let mut svg = String::new();
    let values = || lines.iter().flat_map(|it| &it.points).map(|p| p.1);
    let top = values().max().unwrap_or(0).max(1);
    let bottom = values().min().unwrap_or(0).min(0);
    let seconds = |ns: u64| ns as f64 / 1e9;
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(4)
            .margin_top(12)
            .margin_right(22)
            .x_label_area_size(26)
            .y_label_area_size(46)
            .build_cartesian_2d(0.0..seconds(end.max(1)), bottom..top + (top / 10).max(1))
            .ok()?;
        let text = ("sans-serif", 15).into_font().color(&marker(1));
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(marker(2))
            .light_line_style(TRANSPARENT)
            .axis_style(marker(2))
            .label_style(text)
            .x_labels(5)
            .y_labels(4)
            .x_label_formatter(&|s| format!("{s:.0} s"))
            .y_label_formatter(&|n| short(*n))
            .draw()
            .ok()?;
        for (i, line) in lines.iter().enumerate() {
            let points = || line.points.iter().map(|(t, v)| (seconds(*t), *v));
            let alone = lines.len() == 1;
            let colour = if alone { marker(0) } else { line_marker(i) };
            if alone {
                chart
                    .draw_series(AreaSeries::new(points(), bottom, marker(3)))
                    .ok()?;
            }
            chart
                .draw_series(LineSeries::new(points(), colour.stroke_width(2)))
                .ok()?;
            if line.points.len() <= DOTS_MAX {
                let dots = points().map(|at| Circle::new(at, 3, colour.filled()));
                chart.draw_series(dots).ok()?;
            }
        }
        root.present().ok()?;
    }
    for (i, dashes) in DASHES.into_iter().enumerate() {
        let marked = format!("stroke=\"#02000{i}\" stroke-width=\"2\"");
        let dashed = format!("{marked} stroke-dasharray=\"{dashes}\"");
        svg = svg.replace(&marked, &dashed);
        svg = svg.replace(&format!("#02000{i}"), &format!("var(--series-{i})"));
    }
    for ((r, g, b), value) in MARKERS {
        svg = svg.replace(&format!("#{r:02X}{g:02X}{b:02X}"), value);
    }
    // The size is the page's to choose; the picture scales.
    Some(svg.replacen(&format!("width=\"{WIDTH}\" height=\"{HEIGHT}\" "), "", 1))
}

/// What a series shows, in a sentence.
fn sentence(series: &Series) -> String {
    let Some(last) = series.points.last() else {
        return "No samples yet.".to_owned();
    };
    let mut out = String::new();
    let low = series.points.iter().min_by_key(|p| p.1).unwrap_or(last);
    let high = series.points.iter().max_by_key(|p| p.1).unwrap_or(last);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "Now {}; lowest {} at {}, highest {} at {}.",
        last.1,
        low.1,
        spoken(low.0),
        high.1,
        spoken(high.0)
    );
    out
}

/// The tab.
#[component]
pub(crate) fn MetricsPanel() -> impl IntoView {
    let bench = use_bench();
    let drawn_at = StoredValue::new(f64::MIN);
    let series = RwSignal::new(Vec::<Series>::new());
    Effect::new(move |_| {
        bench.tick.track();
        let playing = bench.hud.with_untracked(|h| h.playing);
        let now = now_ms();
        if playing && now - drawn_at.get_value() < REDRAW_MS {
            return;
        }
        drawn_at.set_value(now);
        series.set(bench.ask(|s| s.series(SAMPLES)).unwrap_or_default());
    });
    let charts = Memo::new(move |_| series.with(|all| charts(all)));
    let names = Memo::new(move |_| {
        let name = |it: &Vec<Series>| it.first().map_or_else(String::new, |it| it.name.clone());
        charts.with(|all| all.iter().map(name).enumerate().collect::<Vec<_>>())
    });
    let end = move || bench.hud.with_untracked(|h| h.head);
    view! {
        <div class="charts panel-scroll" data-testid="metrics">
            <For each=move || names.get() key=|n| n.clone() let((i, name))>
                <Chart
                    index=i
                    name
                    lines=Signal::derive(move || {
                        charts.with(|all| all.get(i).cloned().unwrap_or_default())
                    })
                    end=Signal::derive(end)
                />
            </For>
            <Show when=move || names.with(Vec::is_empty)>
                <p class="empty">"This run has no series yet. Let it go on for a moment."</p>
            </Show>
        </div>
    }
}

/// Series of one name together, in the order in which they come.
fn charts(all: &[Series]) -> Vec<Vec<Series>> {
    let parts = all.chunk_by(|a, b| a.name == b.name);
    parts.map(<[Series]>::to_vec).collect()
}

/// What the lines of a chart show, in sentences.
fn sentences(lines: &[Series]) -> String {
    let each = lines.iter().map(|it| match it.of.as_str() {
        "" => sentence(it),
        of => format!("{of}: {}", sentence(it)),
    });
    each.collect::<Vec<_>>().join(" ")
}

#[component]
fn Chart(
    index: usize,
    name: String,
    lines: Signal<Vec<Series>>,
    end: Signal<u64>,
) -> impl IntoView {
    let svg = move || lines.with(|it| draw(it, end.get()));
    let alone = move || lines.with(|it| it.len() == 1);
    let says = move || lines.with(|it| sentences(it));
    let (label, chart) = (name.clone(), name.clone());
    let class = format!("chart series-{}", index % 6);
    view! {
        <figure class=class data-chart=chart>
            <figcaption>
                <strong>{name}</strong>
                {move || alone().then(|| view! { <span class="muted small">{says}</span> })}
            </figcaption>
            <div
                class="chart-picture"
                role="img"
                aria-label=move || format!("{label}: {}", says())
                inner_html=move || svg().unwrap_or_default()
            ></div>
            {move || (!alone()).then(|| lines.with(|it| legend(it)))}
            <details>
                <summary class="small">"As a table"</summary>
                {move || lines.with(|it| table(it))}
            </details>
        </figure>
    }
}

/// A sample of each line with its name and what it stands at.
fn legend(lines: &[Series]) -> impl IntoView + use<> {
    let each = lines.iter().enumerate().map(|(i, it)| {
        let i = i % DASHES.len();
        let says = sentence(it);
        view! {
            <li>
                <svg viewBox="0 0 28 8" aria-hidden="true">
                    <path
                        d="M0 4H28"
                        stroke-width="2.5"
                        stroke=format!("var(--series-{i})")
                        stroke-dasharray=DASHES[i]
                    ></path>
                </svg>
                <b>{it.of.clone()}</b>
                " "
                <span class="muted">{says}</span>
            </li>
        }
    });
    view! { <ul class="chart-lines small">{each.collect_view()}</ul> }
}

fn table(lines: &[Series]) -> impl IntoView + use<> {
    let mut rows = BTreeMap::<u64, Vec<String>>::new();
    for (i, line) in lines.iter().enumerate() {
        for (at, value) in &line.points {
            let row = rows
                .entry(*at)
                .or_insert_with(|| vec![String::new(); lines.len()]);
            row[i] = value.to_string();
        }
    }
    let every = rows.len().div_ceil(ROWS_MAX).max(1);
    let rows = rows.into_iter().step_by(every).map(|(at, values)| {
        let values = values.into_iter();
        view! {
            <tr>
                <td class="mono">{clock(at)}</td>
                {values.map(|it| view! { <td class="num">{it}</td> }).collect_view()}
            </tr>
        }
    });
    let heads = lines.iter().map(|it| match it.of.as_str() {
        "" => "Value".to_owned(),
        of => of.to_owned(),
    });
    let head = |it: String| {
        view! {
            <th scope="col" class="num">
                {it}
            </th>
        }
    };
    view! {
        <table class="table">
            <thead>
                <tr>
                    <th scope="col">"Time"</th>
                    {heads.map(head).collect_view()}
                </tr>
            </thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, of: &str, points: &[(u64, i64)]) -> Series {
        Series {
            of: of.to_owned(),
            ..Series::new(name, points.to_vec())
        }
    }

    #[test]
    fn numbers_fit_the_axis() {
        for (n, expected) in [
            (0, "0"),
            (9_999, "9999"),
            (-250, "-250"),
            (12_000, "12k"),
            (12_340, "12.3k"),
            (250_900, "250k"),
            (7_200_000, "7.2M"),
        ] {
            assert_eq!(short(n), expected);
        }
    }

    #[test]
    fn series_of_a_name_are_lines_of_one_chart() {
        let all = [
            line("in", "a", &[(0, 1)]),
            line("in", "b", &[(0, 2)]),
            line("restarts", "", &[(0, 0), (1_000_000_000, 1)]),
        ];
        let charts = charts(&all);
        assert_eq!(charts.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert!(sentences(&charts[0]).starts_with("a: Now 1;"));
        let several = draw(&charts[0], 2_000_000_000).expect("a picture");
        assert!(several.contains("var(--series-1)"), "{several}");
        assert!(!several.contains("#0200"), "no marker is left: {several}");
        let one = draw(&charts[1], 2_000_000_000).expect("a picture");
        assert!(one.contains("var(--series-soft)"), "{one}");
    }
}
