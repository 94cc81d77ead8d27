//! Static pages: a lesson that reads in full without script, and the same content as data.

use crate::block::{Block, Lesson};
use crate::check::{Checked, Ran};
use sim_core::run::span_words;
use std::fmt::Write;

/// What the site loads for a lesson.
#[derive(serde::Serialize)]
pub struct ForSite<'a> {
    slug: &'a str,
    title: &'a str,
    summary: &'a str,
    part: &'a str,
    minutes: u32,
    left_out: &'a [String],
    sources: &'a [String],
    scenarios: &'a std::collections::BTreeMap<String, String>,
    blocks: Vec<&'a Block>,
    twins: Vec<&'a crate::check::Compared>,
}

impl Lesson {
    /// What the site loads. It does not hold which answer is right: there the engine grades.
    #[must_use]
    pub fn for_site<'a>(&'a self, checked: &'a Checked) -> ForSite<'a> {
        ForSite {
            slug: &self.slug,
            title: &self.title,
            summary: &self.summary,
            part: &self.part,
            minutes: self.minutes,
            left_out: &self.left_out,
            sources: &self.sources,
            scenarios: &self.scenarios,
            blocks: self.blocks.iter().map(|(_, block)| block).collect(),
            twins: checked.twins.iter().collect(),
        }
    }
}

/// Text made safe for HTML.
#[must_use]
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The lesson's page as a fragment: `title:` and `description:` lines, an empty line, HTML. The
/// site's build puts it into the shell.
#[must_use]
pub fn page_fragment(lesson: &Lesson, checked: &Checked) -> String {
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    format!(
        "title: {} · Strandline\ndescription: {}\n\n{}",
        one_line(&lesson.title),
        one_line(&lesson.summary),
        article(lesson, checked)
    )
}

/// The article as HTML, with what the engine did in place of what a reader would do.
fn article(lesson: &Lesson, checked: &Checked) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<article class=\"static-lesson\"><p class=\"eyebrow\">{}</p><h1>{}</h1><p \
         class=\"lead\">{}</p>",
        escape(&lesson.part),
        escape(&lesson.title),
        escape(&lesson.summary)
    );
    let mut twins = checked.twins.iter();
    for (_, block) in &lesson.blocks {
        match block {
            Block::Prose { html } => out.push_str(html),
            Block::Sim(sim) => {
                if let Some(ran) = checked.scenarios.get(&sim.scenario) {
                    figure(&mut out, ran);
                }
            }
            Block::Predict(predict) => {
                let _ = write!(
                    out,
                    "<section class=\"predict\"><h2>Predict</h2><p>{}</p><ol>",
                    escape(&predict.question)
                );
                for choice in &predict.choices {
                    let _ = write!(out, "<li>{}</li>", escape(&choice.text));
                }
                out.push_str("</ol>");
                if let Some(choice) = checked
                    .predictions
                    .get(&predict.id)
                    .and_then(|p| predict.choices.get(p.right))
                {
                    let _ = write!(
                        out,
                        "<details><summary>What the engine does</summary><p><strong>{}</strong> \
                         {}</p></details>",
                        escape(&choice.text),
                        escape(&predict.why)
                    );
                }
                out.push_str("</section>");
            }
            Block::Twin(twin) => {
                if let Some(found) = twins.next() {
                    let _ = write!(
                        out,
                        "<table class=\"twin\"><caption>One knob: {} = {}. The runs part at \
                         {}.</caption><tr><th>{}</th><th scope=\"col\">{}</th><th \
                         scope=\"col\">{}</th></tr>",
                        escape(&twin.set.replace('/', ".")),
                        escape(&twin.to.to_string()),
                        span_words(found.time),
                        escape(&found.moment),
                        escape(&twin.names.0),
                        escape(&twin.names.1)
                    );
                    for (what, a, b) in &found.values {
                        let (what, a, b) = (escape(what), escape(a), escape(b));
                        let _ = write!(
                            out,
                            "<tr><th scope=\"row\">{what}</th><td>{a}</td><td>{b}</td></tr>"
                        );
                    }
                    out.push_str("</table>");
                }
            }
            Block::Caption(_) => {}
            Block::Claim(claim) => {
                let _ = write!(
                    out,
                    "<p class=\"claim\">{} <small>(executed: <code>{}</code>)</small></p>",
                    escape(&claim.text),
                    escape(&claim.that)
                );
            }
        }
    }
    list(&mut out, "What is left out here", &lesson.left_out);
    list(&mut out, "Sources", &lesson.sources);
    out.push_str("</article>");
    out
}

/// A run told in a table and a list.
fn figure(out: &mut String, ran: &Ran) {
    let ledger = &ran.ledger;
    let _ = write!(
        out,
        "<figure class=\"run\"><figcaption>{}: what the engine recorded in {}</figcaption><ol>",
        escape(&ran.title),
        span_words(ran.duration)
    );
    for mark in &ran.marks {
        let _ = write!(
            out,
            "<li><b>{}</b> {}</li>",
            span_words(mark.time),
            escape(&mark.text)
        );
    }
    out.push_str("</ol>");
    for it in &ran.stores {
        let _ = write!(
            out,
            "<p>{}: {} rows written, {} visible to a reader with read_committed</p>",
            escape(&it.name),
            it.total,
            it.visible
        );
    }
    // Records that were sent are Kafka's; a job by itself has none.
    if ran.stores.is_empty() || ledger.sent > 0 {
        let _ = write!(
            out,
            "<p>{} sent, {} acknowledged, {} delivered · {} lost, {} duplicated, {} \
             reordered</p>",
            ledger.sent,
            ledger.acknowledged,
            ledger.delivered,
            ledger.lost,
            ledger.duplicated,
            ledger.reordered
        );
    }
    out.push_str("</figure>");
}

fn list(out: &mut String, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _ = write!(out, "<section><h2>{title}</h2><ul>");
    for item in items {
        let _ = write!(out, "<li>{}</li>", escape(item));
    }
    out.push_str("</ul></section>");
}
