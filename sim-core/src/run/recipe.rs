//! Recipes: what makes a run, and its form in a link.
//!
//! A run is a function of its recipe (scenario text, seed, the learner's actions), so a branch, a
//! link and a saved piece of work are recipes and never dumps of state. In a link a recipe is
//! `postcard` bytes, deflated, in base64url, behind a version and a check sum. A link that cannot
//! be honoured exactly is refused with what can be done instead; nothing else is ever shown in its
//! place.

use crate::kernel::{Deed, Digest, Nanos};
use crate::systems::Order;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Version of the engine's behaviour. It is raised whenever a stored run would come out
/// differently.
pub const ENGINE_VERSION: u32 = 1;

/// First characters of a fragment, with the version of the link format.
const PREFIX: &str = "r1.";

/// Largest fragment that is read, in characters.
pub const FRAGMENT_MAX: usize = 64 * 1024;

/// Largest recipe that is unpacked, in bytes.
const RECIPE_BYTES_MAX: usize = 1024 * 1024;

/// Most actions in a recipe.
pub const ACTIONS_MAX: usize = 10_000;

/// Something that the learner did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Action {
    /// When, ns: after all events up to and including this time.
    pub at: Nanos,
    /// What.
    pub deed: Deed<Order>,
}

/// All that makes a run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Recipe {
    /// The scenario file's text.
    pub scenario: String,
    /// Seed, if it is not the file's.
    pub seed: Option<u64>,
    /// What the learner did, by time.
    pub actions: Vec<Action>,
    /// Where to look, ns.
    pub time: Nanos,
}

/// A recipe out of a link, with what the sender saw there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The run.
    pub recipe: Recipe,
    /// Digest of the run at `recipe.time`, as the sender's engine computed it.
    pub digest: Option<u64>,
}

/// What travels. New fields go into `more` so that an older reader can name what it does not know.
#[derive(Serialize, Deserialize)]
struct Envelope {
    engine: u32,
    recipe: Recipe,
    digest: Option<u64>,
    more: Vec<(u8, Vec<u8>)>,
}

/// Why a link cannot be honoured, and what can be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkProblem {
    /// It is of a newer format or engine than this page.
    Newer {
        /// What it asks for.
        wanted: String,
    },
    /// It was made by an older engine, whose runs may have come out differently.
    Older {
        /// Engine version of the link.
        engine: u32,
        /// The recipe, to be opened knowingly.
        recipe: Box<Recipe>,
    },
    /// It holds a field that this page does not know.
    UnknownField {
        /// Number of the field.
        field: u8,
        /// The recipe without it, to be opened knowingly.
        recipe: Box<Recipe>,
    },
    /// It is cut short or changed.
    Damaged,
    /// It is longer than this page reads.
    TooLong,
    /// The recipe does not fit in a link; keep it as a file.
    TooLarge,
}

impl std::fmt::Display for LinkProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LinkProblem::Newer { wanted } => write!(
                f,
                "This link needs {wanted}, which is newer than this page. Reload the page to get \
                 its newest version, then open the link again."
            ),
            LinkProblem::Older { engine, .. } => write!(
                f,
                "This link was made with engine version {engine}; this is version \
                 {ENGINE_VERSION}. The same recipe may run differently now. You can open it \
                 knowing that."
            ),
            LinkProblem::UnknownField { field, .. } => write!(
                f,
                "This link holds something that this page does not know (field {field}). You can \
                 open the rest of it, knowing that the run may differ from the sender's."
            ),
            LinkProblem::Damaged => f.write_str(
                "This link is damaged: part of it is missing or changed. Ask for it again, or \
                 for the scenario file.",
            ),
            LinkProblem::TooLong => write!(
                f,
                "This link is longer than {FRAGMENT_MAX} characters and was not read. Ask for the \
                 scenario file."
            ),
            LinkProblem::TooLarge => f.write_str(
                "This run is too large for a link. Save it as a scenario file and send that.",
            ),
        }
    }
}

impl std::error::Error for LinkProblem {}

fn check_sum(bytes: &[u8]) -> u32 {
    let mut digest = Digest::default();
    digest.value(bytes);
    digest.finish() as u32
}

impl Recipe {
    /// A recipe for a scenario, as written.
    #[must_use]
    pub fn of(scenario: impl Into<String>) -> Self {
        Recipe {
            scenario: scenario.into(),
            ..Recipe::default()
        }
    }

    /// The fragment of a link to this run (without `#`).
    ///
    /// # Errors
    /// If it would be longer than [`FRAGMENT_MAX`].
    pub fn to_fragment(&self, digest: Option<u64>) -> Result<String, LinkProblem> {
        let envelope = Envelope {
            engine: ENGINE_VERSION,
            recipe: self.clone(),
            digest,
            more: Vec::new(),
        };
        pack(&envelope)
    }

    /// Reads a fragment (with or without `#`).
    ///
    /// # Errors
    /// If the run cannot be honoured exactly; the problem says why and what can be done.
    pub fn from_fragment(fragment: &str) -> Result<Opened, LinkProblem> {
        if fragment.len() > FRAGMENT_MAX {
            return Err(LinkProblem::TooLong);
        }
        let text = fragment.trim().trim_start_matches('#');
        let Some(body) = text.strip_prefix(PREFIX) else {
            return Err(unknown_format(text));
        };
        let bytes = URL_SAFE_NO_PAD
            .decode(body)
            .map_err(|_| LinkProblem::Damaged)?;
        let (sum, packed) = bytes.split_at_checked(4).ok_or(LinkProblem::Damaged)?;
        if sum != check_sum(packed).to_le_bytes() {
            return Err(LinkProblem::Damaged);
        }
        let raw = miniz_oxide::inflate::decompress_to_vec_with_limit(packed, RECIPE_BYTES_MAX)
            .map_err(|_| LinkProblem::Damaged)?;
        let (envelope, rest) =
            postcard::take_from_bytes::<Envelope>(&raw).map_err(|_| newer_or_damaged(&raw))?;
        if !rest.is_empty() || envelope.recipe.actions.len() > ACTIONS_MAX {
            return Err(LinkProblem::Damaged);
        }
        if envelope.engine > ENGINE_VERSION {
            return Err(LinkProblem::Newer {
                wanted: format!("engine version {}", envelope.engine),
            });
        }
        let recipe = Box::new(envelope.recipe);
        if let Some((field, _)) = envelope.more.first() {
            return Err(LinkProblem::UnknownField {
                field: *field,
                recipe,
            });
        }
        if envelope.engine < ENGINE_VERSION {
            return Err(LinkProblem::Older {
                engine: envelope.engine,
                recipe,
            });
        }
        Ok(Opened {
            recipe: *recipe,
            digest: envelope.digest,
        })
    }
}

fn pack(envelope: &Envelope) -> Result<String, LinkProblem> {
    let raw = postcard::to_allocvec(envelope).map_err(|_| LinkProblem::TooLarge)?;
    if raw.len() > RECIPE_BYTES_MAX {
        return Err(LinkProblem::TooLarge);
    }
    let packed = miniz_oxide::deflate::compress_to_vec(&raw, 9);
    let mut bytes = check_sum(&packed).to_le_bytes().to_vec();
    bytes.extend_from_slice(&packed);
    let fragment = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    if fragment.len() > FRAGMENT_MAX {
        Err(LinkProblem::TooLarge)
    } else {
        Ok(fragment)
    }
}

/// A link of another format version says so in its first characters.
fn unknown_format(text: &str) -> LinkProblem {
    let version = text.split('.').next().and_then(|v| v.strip_prefix('r'));
    match version.and_then(|v| v.parse::<u32>().ok()) {
        Some(version) if version > 1 => LinkProblem::Newer {
            wanted: format!("link format {version}"),
        },
        _ => LinkProblem::Damaged,
    }
}

/// A newer engine may know deeds that this one cannot read; its version stands first.
fn newer_or_damaged(raw: &[u8]) -> LinkProblem {
    match postcard::take_from_bytes::<u32>(raw) {
        Ok((engine, _)) if engine > ENGINE_VERSION => LinkProblem::Newer {
            wanted: format!("engine version {engine}"),
        },
        _ => LinkProblem::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::NodeId;

    fn recipe() -> Recipe {
        Recipe {
            scenario: "strandline = 1\ntitle = \"x\"\n".repeat(20),
            seed: Some(u64::MAX),
            actions: vec![
                Action {
                    at: 12_345_678_901,
                    deed: Deed::Crash(NodeId(0)),
                },
                Action {
                    at: 13_000_000_000,
                    deed: Deed::Cut(NodeId(1), NodeId(2)),
                },
            ],
            time: 14_000_000_001,
        }
    }

    #[test]
    fn a_link_gives_the_recipe_back() {
        let fragment = recipe().to_fragment(Some(77)).expect("fits");
        assert!(fragment.len() < 300, "{} characters", fragment.len());
        let opened = Recipe::from_fragment(&format!("#{fragment}")).expect("opens");
        assert_eq!(
            opened,
            Opened {
                recipe: recipe(),
                digest: Some(77)
            }
        );
    }

    #[test]
    fn what_cannot_be_honoured_is_said() {
        let envelope = |engine, more| Envelope {
            engine,
            recipe: recipe(),
            digest: None,
            more,
        };
        let open = |e: Envelope| Recipe::from_fragment(&pack(&e).expect("fits")).unwrap_err();
        let newer = open(envelope(ENGINE_VERSION + 1, Vec::new()));
        assert!(matches!(newer, LinkProblem::Newer { .. }), "{newer:?}");
        let older = open(envelope(ENGINE_VERSION - 1, Vec::new()));
        assert!(matches!(older, LinkProblem::Older { engine, .. } if engine + 1 == ENGINE_VERSION));
        let unknown = open(envelope(ENGINE_VERSION, vec![(9, vec![1])]));
        assert!(matches!(
            unknown,
            LinkProblem::UnknownField { field: 9, .. }
        ));
        let newer = Recipe::from_fragment("r2.AAAA").unwrap_err();
        assert!(matches!(newer, LinkProblem::Newer { .. }));
        assert_eq!(
            Recipe::from_fragment(&"x".repeat(FRAGMENT_MAX + 1)),
            Err(LinkProblem::TooLong)
        );
    }

    #[test]
    fn any_damage_is_noticed() {
        let fragment = recipe().to_fragment(None).expect("fits");
        for at in 0..fragment.len() {
            let mut bytes = fragment.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(bytes).expect("ascii");
            if text != fragment {
                assert!(Recipe::from_fragment(&text).is_err(), "changed at {at}");
            }
            assert!(
                Recipe::from_fragment(&fragment[..at]).is_err(),
                "cut at {at}"
            );
        }
    }
}
