//! The words on a node: title, chips, note, values, and what a screen reader says.

use sim_core::view::{Health, Lane, NodeView, Role, StageView, Tone};

use crate::stage::plan::geom::{Face, text_width};
use crate::stage::plan::{Kind, Place};

/// A short word in a rounded box.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Chip {
    /// The word.
    pub(crate) text: String,
    /// How it is toned.
    pub(crate) tone: Tone,
    /// Filled: the one that matters most on this card.
    pub(crate) strong: bool,
}

/// What is written on a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NodeScene {
    /// The node.
    pub(crate) node: u32,
    /// What is drawn there.
    pub(crate) kind: Kind,
    /// Name for people.
    pub(crate) title: String,
    /// Name in the scenario, for where there is no room.
    pub(crate) name: String,
    /// Part in the system.
    pub(crate) role: Role,
    /// What its machine does.
    pub(crate) health: Health,
    /// Its copy of the lane in full leads.
    pub(crate) leads: bool,
    /// It takes writes though the control plane has another leader.
    pub(crate) deposed: bool,
    /// Its copy of the lane in full is in sync; `None` if it has none.
    pub(crate) in_sync: Option<bool>,
    /// Chips, most telling first.
    pub(crate) chips: Vec<Chip>,
    /// A line beside the chips.
    pub(crate) note: String,
    /// Values: name and value.
    pub(crate) facts: Vec<(String, String)>,
    /// What a screen reader says.
    pub(crate) aria: String,
}

/// What is written on a place; `lane` is the lane shown in full, if one is.
pub(super) fn node(view: &StageView, place: &Place, lane: Option<&String>) -> NodeScene {
    let found = view.nodes.iter().find(|n| n.id == place.node);
    let Some(node) = found.filter(|_| place.kind != Kind::More) else {
        return gathered(view, place);
    };
    let copy = lane.and_then(|id| node.lanes.iter().find(|l| l.id == *id));
    let mut chips: Vec<Chip> = Vec::new();
    if let Some(word) = machine(node) {
        chips.push(Chip {
            text: word.to_owned(),
            tone: health_tone(node.health),
            strong: false,
        });
    }
    if let Some(copy) = copy {
        for badge in &copy.badges {
            let strong = copy.leads && badge.tone == Tone::Sea;
            chips.push(Chip {
                text: badge.text.clone(),
                tone: badge.tone,
                strong,
            });
        }
    }
    if place.kind == Kind::Slim && lane.is_some() {
        chips.extend(link_fault(view, node.id));
    }
    for badge in &node.badges {
        chips.push(Chip {
            text: badge.text.clone(),
            tone: badge.tone,
            strong: false,
        });
    }
    let facts = values(node, copy);
    let leader = lane.and_then(|id| view.lanes.iter().find(|l| l.id == *id)?.leader);
    let deposed = copy.is_some_and(|c| c.leads) && leader.is_some_and(|l| l != node.id);
    let note = copy.map(|c| note(node, c)).unwrap_or_default();
    let mut scene = NodeScene {
        node: node.id,
        kind: place.kind,
        title: node.title.clone(),
        name: node.name.clone(),
        role: node.role,
        health: node.health,
        leads: copy.is_some_and(|c| c.leads) && !deposed
            || node.role == Role::Control && active(node),
        deposed,
        in_sync: copy.map(|c| c.in_sync),
        chips,
        note,
        facts,
        aria: String::new(),
    };
    scene.aria = aria(&scene);
    scene
}

/// The line beside the chips. The ISR's chip stands there already, so the words do not repeat it;
/// of a process that is down the chips say what there is to say, unless its copy lags.
fn note(node: &NodeView, copy: &Lane) -> String {
    match copy.note.strip_prefix("in sync · ") {
        Some(_) if node.health == Health::Down => String::new(),
        Some(rest) if !copy.badges.is_empty() => rest.to_owned(),
        _ => copy.note.clone(),
    }
}

impl NodeScene {
    /// How far the words at the head of a card reach, from its left edge. The note has its most
    /// usual width at least, so that what keeps clear of it stands still.
    pub(super) fn head_reach(&self, phone: bool) -> f64 {
        const NOTE_LEAST: f64 = 62.0;
        // Estimates of width err on the wide side, so that words fit; here they would cut the line
        // where nothing is in its way.
        let wide = |text: &str, size: f64| 0.84 * text_width(text, Face::Text, size);
        // As the style sheet sets them.
        let (left, gap, pad, chip, title) = match phone {
            true => (9.0, 6.0, 12.0, 12.0, 15.0),
            false => (14.0, 8.0, 16.0, 13.0, 16.0),
        };
        let chips = self.chips.iter().map(|c| 6.0 + wide(&c.text, chip) + pad);
        let note = match self.note.as_str() {
            "" => 0.0,
            _ if phone && self.in_sync == Some(true) => 0.0,
            note => gap + wide(note, 14.5).max(NOTE_LEAST),
        };
        left + wide(&self.title, title) + chips.sum::<f64>() + note
    }
}

/// Where links of a node are not drawn, their faults are told on it.
fn link_fault(view: &StageView, node: u32) -> Option<Chip> {
    let mut faults = view.links.iter().filter(|l| l.from == node || l.to == node);
    let first = faults.next()?;
    let cut = first.cut || faults.any(|l| l.cut);
    let (text, tone) = if cut {
        ("link cut", Tone::Harm)
    } else {
        ("link slow", Tone::Sand)
    };
    Some(Chip {
        text: text.to_owned(),
        tone,
        strong: false,
    })
}

/// The values on a card: the copy's leader epoch if it has one, else the node's own.
fn values(node: &NodeView, copy: Option<&Lane>) -> Vec<(String, String)> {
    let epoch = copy.and_then(|c| c.facts.iter().find(|f| f.label == "leader epoch"));
    // A copy whose process is down, or has heard of no leader yet, knows none.
    if epoch.is_some_and(|e| e.value == "-1") {
        return Vec::new();
    }
    match epoch {
        Some(epoch) => vec![("epoch".to_owned(), epoch.value.clone())],
        None => node
            .summary
            .iter()
            .map(|f| (f.label.clone(), f.value.clone()))
            .collect(),
    }
}

/// Whether a controller's badges say that it leads.
fn active(node: &NodeView) -> bool {
    node.badges.iter().any(|b| b.tone == Tone::Sea)
}

/// The word for what the machine does, unless a badge already says it.
fn machine(node: &NodeView) -> Option<&'static str> {
    let word = match node.health {
        Health::Up => return None,
        Health::Down => "down",
        Health::Paused => "paused",
        Health::Slow => "slow",
    };
    let said = node
        .badges
        .iter()
        .any(|b| b.text.to_ascii_lowercase().contains(word));
    (!said).then_some(word)
}

fn health_tone(health: Health) -> Tone {
    match health {
        Health::Up => Tone::Plain,
        Health::Down => Tone::Harm,
        Health::Paused | Health::Slow => Tone::Sand,
    }
}

/// Nodes that share one place.
fn gathered(view: &StageView, place: &Place) -> NodeScene {
    let nodes: Vec<&NodeView> = view
        .nodes
        .iter()
        .filter(|n| place.gathers.contains(&n.id))
        .collect();
    let down = nodes.iter().filter(|n| n.health != Health::Up).count();
    let title = format!("+{} more", nodes.len());
    let note = if down > 0 {
        format!("{down} not up")
    } else {
        String::new()
    };
    NodeScene {
        node: place.node,
        kind: Kind::More,
        aria: format!(
            "{} more nodes without room on the stage, {down} not up",
            nodes.len()
        ),
        name: format!("+{}", nodes.len()),
        title,
        role: place.role,
        health: if down > 0 { Health::Down } else { Health::Up },
        leads: false,
        deposed: false,
        in_sync: None,
        chips: Vec::new(),
        note,
        facts: Vec::new(),
    }
}

fn aria(scene: &NodeScene) -> String {
    let mut out = scene.title.clone();
    let mut say = |text: &str| {
        if !text.is_empty() {
            out.push_str(", ");
            out.push_str(text);
        }
    };
    for chip in &scene.chips {
        say(&chip.text);
    }
    say(&scene.note);
    for (label, value) in &scene.facts {
        say(&format!("{label} {value}"));
    }
    out
}
