//! Charts of the run's series. plotters draws an SVG text; its fixed colours are marker values
//! that are replaced by the site's custom properties, so a chart follows the theme without being
//! drawn again. Each chart has a sentence that says what it shows, and its numbers as a table.

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
const SAMPLES: u32 = 120;
/// Rows of the table under a chart.
const ROWS_MAX: usize = 40;

/// Marker colours handed to plotters, and what the page draws instead.
const MARKERS: [((u8, u8, u8), &str); 4] = [
    ((1, 2, 3), "var(--series)"),
    ((1, 2, 4), "var(--muted)"),
    ((1, 2, 5), "var(--line)"),
    ((1, 2, 6), "var(--series-soft)"),
];

fn marker(i: usize) -> RGBColor {
    let (r, g, b) = MARKERS[i].0;
    RGBColor(r, g, b)
}

/// Draws one series. `None` if plotters cannot (which it reports only for impossible sizes).
fn draw(series: &Series, end: u64) -> Option<String> {
    let mut svg = String::new();
    let top = series.points.iter().map(|p| p.1).max().unwrap_or(0).max(1);
    let bottom = series.points.iter().map(|p| p.1).min().unwrap_or(0).min(0);
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
            .draw()
            .ok()?;
        let points = || series.points.iter().map(|(t, v)| (seconds(*t), *v));
        chart
            .draw_series(AreaSeries::new(points(), bottom, marker(3)))
            .ok()?;
        chart
            .draw_series(LineSeries::new(points(), marker(0).stroke_width(2)))
            .ok()?;
        root.present().ok()?;
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
    let names = Memo::new(move |_| {
        series.with(|all| {
            all.iter()
                .map(|s| s.name.clone())
                .enumerate()
                .collect::<Vec<_>>()
        })
    });
    let end = move || bench.hud.with_untracked(|h| h.head);
    view! {
        <div class="charts panel-scroll" data-testid="metrics">
            <For each=move || names.get() key=|n| n.clone() let((i, name))>
                <Chart
                    index=i
                    name
                    series=Signal::derive(move || {
                        series.with(|all| all.get(i).cloned())
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

#[component]
fn Chart(
    index: usize,
    name: String,
    series: Signal<Option<Series>>,
    end: Signal<u64>,
) -> impl IntoView {
    let svg = move || series.with(|s| s.as_ref().and_then(|s| draw(s, end.get())));
    let says = move || series.with(|s| s.as_ref().map(sentence));
    let label = name.clone();
    let class = format!("chart series-{}", index % 6);
    view! {
        <figure class=class>
            <figcaption>
                <strong>{name}</strong>
                <span class="muted small">{says}</span>
            </figcaption>
            <div
                class="chart-picture"
                role="img"
                aria-label=move || format!("{label}: {}", says().unwrap_or_default())
                inner_html=move || svg().unwrap_or_default()
            ></div>
            <details>
                <summary class="small">"As a table"</summary>
                {move || series.with(|s| s.as_ref().map(table))}
            </details>
        </figure>
    }
}

fn table(series: &Series) -> impl IntoView + use<> {
    let every = series.points.len().div_ceil(ROWS_MAX).max(1);
    let rows = series.points.iter().step_by(every).map(|(t, v)| {
        view! {
            <tr>
                <td class="mono">{clock(*t)}</td>
                <td class="num">{v.to_string()}</td>
            </tr>
        }
    });
    view! {
        <table class="table">
            <thead>
                <tr>
                    <th scope="col">"Time"</th>
                    <th scope="col" class="num">
                        "Value"
                    </th>
                </tr>
            </thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
}
