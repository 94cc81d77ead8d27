//! What sinks are to hold at the end.

use super::expected_words::{RawExpectedRow, RawOutput};
use super::keys::KeyTable;
use super::read::list;
use crate::scenario::{At, Problem, Reader, units};
use crate::stream::rules::window::aggregate::Value;
use crate::stream::spec::{ExpectedOutput, ExpectedRow, OperatorKind, OperatorSpec};

/// Reads them. `number_of` gives an operator's number and whether it is a sink.
pub(super) fn read(
    raw: Option<&At<Vec<At<RawOutput>>>>,
    operators: &[OperatorSpec],
    number_of: impl Fn(&str) -> Option<(u32, bool)>,
    keys: &mut KeyTable,
    reader: &mut Reader<'_>,
) -> Vec<ExpectedOutput> {
    let mut expected: Vec<ExpectedOutput> = Vec::new();
    for output in list(raw) {
        let doc = &output.value;
        let Some(name) = &doc.sink else { continue };
        let Some((sink, true)) = number_of(&name.value) else {
            let shown = units::shorten(&name.value);
            let sinks = operators
                .iter()
                .filter(|it| matches!(it.kind, OperatorKind::Sink(_)))
                .map(|it| it.name.as_str())
                .filter(|it| !it.is_empty());
            let problem = Problem::new("unknown-name", format!("there is no sink `{shown}`"));
            reader.report(&name.span, problem.near(&name.value, sinks));
            continue;
        };
        if expected.iter().any(|it| it.sink == sink) {
            let shown = units::shorten(&name.value);
            let message = format!("what `{shown}` is to hold is said already");
            reader.report(&name.span, Problem::new("duplicate", message));
            continue;
        }
        let changelog = doc.changelog.as_ref().is_some_and(|at| at.value);
        let rows = || doc.rows.iter().flat_map(|rows| &rows.value.0);
        if let Some(at) = rows().find_map(|row| row.value.kind.as_ref())
            && !changelog
        {
            let message = "a row that was taken back is not there at the end";
            let problem = Problem::new("contradiction", message);
            reader.report(
                &at.span,
                problem.help("say changelog = true, or leave `kind` out"),
            );
        }
        expected.push(ExpectedOutput {
            sink,
            ordered: doc.ordered.as_ref().is_some_and(|at| at.value),
            changelog,
            rows: rows().map(|it| row(&it.value, keys)).collect(),
        });
    }
    expected
}

fn row(doc: &RawExpectedRow, keys: &mut KeyTable) -> ExpectedRow {
    ExpectedRow {
        key: doc
            .key
            .as_ref()
            .map(|at| keys.key(Some(at.value.0.as_str()))),
        value: doc
            .value
            .as_ref()
            .map_or(Value::Nothing, |at| at.value.0.clone()),
        any_value: doc.value.is_none(),
        right: doc.right.as_ref().map(|at| at.value.0.clone()),
        window: doc
            .window
            .as_ref()
            .map(|at| (at.value.0.start, at.value.0.end)),
        timestamp: doc.ts.as_ref().map(|at| at.value.0),
        kind: doc.kind.as_ref().map(|at| at.value.rule()),
        pane: doc.pane.as_ref().map(|at| at.value),
        timing: doc.timing.as_ref().map(|at| at.value.rule()),
    }
}
