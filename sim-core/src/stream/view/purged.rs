//! Windows that were purged a short while ago: a mark that stays long enough to be seen.

use super::job::{Look, event_time};
use crate::kernel::{MILLISECOND, NodeId};
use crate::stream::operator::{Operator, PurgedWindow};
use crate::stream::rules::window::machine::Purge;
use crate::view::{PurgedBox, SubtaskView, event_time_words};

/// Least and greatest time that a mark stays, ms. In between it is a quarter of the window.
const STAYS: (i64, i64) = (5_000, 600_000);

/// How long the mark of a purged window stays, ms.
fn stays(it: &PurgedWindow) -> i64 {
    let length = it.window.end.saturating_sub(it.window.start);
    (length / 4).clamp(STAYS.0, STAYS.1)
}

/// Why a window was purged, in words; `lateness` in ms.
pub(super) fn why(purge: Purge, lateness: i64) -> String {
    match (purge, lateness) {
        (Purge::Fired, _) => "fired and purged".to_owned(),
        (Purge::PastLateness, 0) => "end passed".to_owned(),
        (Purge::PastLateness, ms) => {
            let ms = event_time_words(Some(ms));
            format!("end + {ms} lateness passed")
        }
    }
}

impl Look<'_> {
    /// The marks of an operator in the task that `view` is of.
    pub(super) fn purged(&self, operator: &Operator, view: &mut SubtaskView) {
        let Some(node) = view.task_manager.as_ref().map(|it| NodeId(it.0)) else {
            return;
        };
        let now = self.world.now();
        let wall_ms = self
            .world
            .clock(node)
            .wall(now)
            .div_euclid(MILLISECOND as i64);
        let (purged, lateness) = operator.purged();
        for it in purged {
            let age = wall_ms.saturating_sub(it.at_ms).max(0);
            if age > stays(&it) {
                continue;
            }
            let at = now.saturating_sub(age.unsigned_abs() * MILLISECOND);
            view.purged.push(PurgedBox {
                key: self.job.spec.keys.name(it.key),
                key_number: it.key.0,
                start: it.window.start,
                end: it.window.end,
                at,
                until: at.saturating_add(stays(&it).unsigned_abs() * MILLISECOND),
                watermark: event_time(it.watermark),
                why: why(it.why, lateness),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::element::Key;
    use crate::stream::rules::assigner::Window;

    #[test]
    fn a_mark_stays_for_a_quarter_of_its_window_within_bounds() {
        let check = |end: i64, expect| {
            let it = PurgedWindow {
                key: Key(0),
                window: Window { start: 0, end },
                why: Purge::Fired,
                at_ms: 0,
                watermark: 0,
            };
            assert_eq!(stays(&it), expect);
        };
        check(1_000, 5_000);
        check(60_000, 15_000);
        check(i64::MAX, 600_000);
    }

    #[test]
    fn each_purge_has_its_reason() {
        let check = |purge, lateness, expect: &str| assert_eq!(why(purge, lateness), expect);
        check(Purge::Fired, 0, "fired and purged");
        check(Purge::PastLateness, 0, "end passed");
        check(Purge::PastLateness, 2_000, "end + 2 s lateness passed");
    }
}
