//! What a visitor does on the home page: break it, bring it back, move in time.

use sim_core::kernel::{Deed, NodeId};
use sim_core::view::{Health, StageView};
use web_sys::{Element, KeyboardEvent, MouseEvent, PointerEvent};

use super::home::Home;
use crate::bench::{Pilot, Way, calm, jump_to_mark, seek_part, timeline_key};
use crate::format::nearest_speed;
use crate::host::Host;
use crate::listen::marked;

/// Slow enough to see messages travel.
pub(super) const SPEED: f64 = 0.02;
/// Fast enough to wait for a timeout.
const SPEED_TO_WAIT: f64 = 1.0;

/// What the kill has come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Act {
    /// A leader runs; nothing was done.
    Calm(u32, String),
    /// The leader named here is down, and there is no other yet.
    Orphaned(String),
    /// One was killed, and this one leads.
    Over(u32, String),
    /// There is no leader at all.
    Lost,
}

impl Act {
    pub(super) fn of(view: &StageView, killed: bool) -> Act {
        let leader = view.lanes.first().and_then(|l| l.leader);
        let Some(node) = view.nodes.iter().find(|n| Some(n.id) == leader) else {
            return Act::Lost;
        };
        let title = node.title.clone();
        match (node.health == Health::Down, killed) {
            (true, _) => Act::Orphaned(title),
            (false, false) => Act::Calm(node.id, title),
            (false, true) => Act::Over(node.id, title),
        }
    }

    pub(super) fn leads(&self) -> bool {
        matches!(self, Act::Calm(..) | Act::Over(..))
    }
}

impl Home {
    pub(super) fn click(&self, event: &MouseEvent) {
        let Some((_, act)) = marked(event, "data-act") else {
            return;
        };
        match act.as_str() {
            "kill" => self.kill(),
            "undo" => self.undo(),
            "next" => jump_to_mark(self, Way::On),
            "rewind" => drop(self.travel(|h| h.seek(0))),
            "step-back" => drop(self.travel(Host::step_back)),
            "play" => drop(self.travel(|h| h.set_playing(!h.playing()))),
            "step" => drop(self.travel(Host::step)),
            _ => {}
        }
    }

    fn kill(&self) {
        let (Act::Calm(id, title) | Act::Over(id, title)) = self.shown().borrow().act.clone()
        else {
            return;
        };
        let deed = Deed::Crash(NodeId(id));
        match self.host(|h| h.act(deed, &format!("{title}: killed"))) {
            Some(Ok(())) => {}
            Some(Err(refusal)) => return self.say(refusal.to_string()),
            None => return,
        }
        // The controller takes nine seconds to notice: minutes at the pace of messages.
        self.host(|h| {
            h.set_speed(nearest_speed(SPEED_TO_WAIT));
            h.set_playing(!calm());
        });
        self.edited();
    }

    fn undo(&self) {
        match self.host(Host::undo).flatten() {
            Some(label) => {
                self.say(format!("Undone: {label}."));
                self.edited();
            }
            None => self.say("There is nothing to undo.".to_owned()),
        }
    }

    pub(super) fn grab(&self, event: &PointerEvent) {
        let slider = marked(event, "aria-valuenow").map(|(slider, _)| slider);
        let Some(slider) = slider.filter(|_| event.button() == 0) else {
            return;
        };
        // Without capture the drag ends at the edge; that is all.
        let _ = slider.set_pointer_capture(event.pointer_id());
        self.shown().borrow_mut().dragging = true;
        self.host(|h| h.set_playing(false));
        self.seek_to(&slider, event);
    }

    pub(super) fn drag(&self, event: &PointerEvent) {
        if self.shown().borrow().dragging
            && let Some((slider, _)) = marked(event, "aria-valuenow")
        {
            self.seek_to(&slider, event);
        }
    }

    pub(super) fn let_go(&self, _: &PointerEvent) {
        if std::mem::take(&mut self.shown().borrow_mut().dragging) {
            self.redraw();
        }
    }

    fn seek_to(&self, slider: &Element, event: &PointerEvent) {
        let rect = slider.get_bounding_client_rect();
        let x = f64::from(event.client_x()) - rect.left();
        seek_part(self, x / rect.width().max(1.0));
    }

    pub(super) fn key(&self, event: &KeyboardEvent) {
        if marked(event, "aria-valuenow").is_some()
            && timeline_key(self, &event.key(), event.shift_key())
        {
            event.prevent_default();
            event.stop_propagation();
        }
    }
}
