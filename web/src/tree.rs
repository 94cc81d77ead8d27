//! A small tree of elements: what should stand in the page as plain values, and the patching that
//! brings the page there with as few changes as it takes.
//!
//! The stage, the home page and what they share with other pages are written with it, so that they
//! are there before the application itself has been loaded. It knows no events (one listener on a
//! parent serves all that stands in it, see `data-act` and `data-stop`) and no state. Children are
//! matched by their place; an element whose [`El::key`] changed is made anew.

use std::borrow::Cow;

use web_sys::{Document, Element, Node};

const SVG: &str = "http://www.w3.org/2000/svg";

/// Text of attributes and nodes; most of it is constant.
pub(crate) type Words = Cow<'static, str>;

/// An element as it should be.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct El {
    tag: &'static str,
    /// In the namespace of SVG.
    drawn: bool,
    key: Option<String>,
    attributes: Vec<(&'static str, Words)>,
    kids: Vec<Kid>,
}

/// What stands in an element.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Kid {
    /// An element.
    El(El),
    /// Text.
    Text(Words),
}

impl From<El> for Kid {
    fn from(el: El) -> Self {
        Kid::El(el)
    }
}

impl From<&'static str> for Kid {
    fn from(text: &'static str) -> Self {
        Kid::Text(text.into())
    }
}

impl From<String> for Kid {
    fn from(text: String) -> Self {
        Kid::Text(text.into())
    }
}

/// An element of HTML.
pub(crate) fn el(tag: &'static str) -> El {
    El {
        tag,
        drawn: false,
        key: None,
        attributes: Vec::new(),
        kids: Vec::new(),
    }
}

/// An element of SVG.
pub(crate) fn svg(tag: &'static str) -> El {
    El {
        drawn: true,
        ..el(tag)
    }
}

/// A button that submits nothing.
pub(crate) fn button(class: impl Into<Words>) -> El {
    el("button").is("type", "button").class(class)
}

impl El {
    /// Gives it an attribute.
    pub(crate) fn is(mut self, name: &'static str, value: impl Into<Words>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// Gives it an attribute if there is a value.
    pub(crate) fn may(self, name: &'static str, value: Option<impl Into<Words>>) -> Self {
        match value {
            Some(value) => self.is(name, value),
            None => self,
        }
    }

    /// Gives it an attribute that has no value.
    pub(crate) fn flag(self, name: &'static str, on: bool) -> Self {
        self.may(name, on.then_some(""))
    }

    /// Its classes.
    pub(crate) fn class(self, class: impl Into<Words>) -> Self {
        self.is("class", class)
    }

    /// Its style.
    pub(crate) fn style(self, style: impl Into<Words>) -> Self {
        self.is("style", style)
    }

    /// How tests find it.
    pub(crate) fn test(self, id: impl Into<Words>) -> Self {
        self.is("data-testid", id)
    }

    /// Its name for a screen reader.
    pub(crate) fn label(self, label: impl Into<Words>) -> Self {
        self.is("aria-label", label)
    }

    /// Decoration that a screen reader leaves out.
    pub(crate) fn mute(self) -> Self {
        self.is("aria-hidden", "true")
    }

    /// What it is: another value means another element, which starts afresh.
    pub(crate) fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Puts something into it, after what is in it.
    pub(crate) fn with(mut self, kid: impl Into<Kid>) -> Self {
        self.kids.push(kid.into());
        self
    }

    /// Puts some things into it.
    pub(crate) fn all<K: Into<Kid>>(mut self, kids: impl IntoIterator<Item = K>) -> Self {
        self.kids.extend(kids.into_iter().map(Into::into));
        self
    }
}

/// Something that stands in the page, with what it was made from.
struct Live {
    node: Node,
    /// Without its children: those are `kids`.
    kid: Kid,
    kids: Vec<Live>,
}

impl Live {
    /// Makes it; `None` only where the browser refuses a name.
    fn make(document: &Document, kid: Kid) -> Option<Live> {
        let mut el = match kid {
            Kid::Text(text) => {
                return Some(Live {
                    node: document.create_text_node(&text).into(),
                    kid: Kid::Text(text),
                    kids: Vec::new(),
                });
            }
            Kid::El(el) => el,
        };
        let made = match el.drawn {
            true => document.create_element_ns(Some(SVG), el.tag),
            false => document.create_element(el.tag),
        };
        let made = made.ok()?;
        for (name, value) in &el.attributes {
            // Names are constants of ours.
            let _ = made.set_attribute(name, value);
        }
        let mut kids = Vec::new();
        let wanted = std::mem::take(&mut el.kids);
        let node: Node = made.into();
        patch(document, &node, None, &mut kids, wanted);
        let kid = Kid::El(el);
        Some(Live { node, kid, kids })
    }

    /// Whether it can become `kid` by patching.
    fn fits(&self, kid: &Kid) -> bool {
        match (&self.kid, kid) {
            (Kid::El(a), Kid::El(b)) => a.tag == b.tag && a.drawn == b.drawn && a.key == b.key,
            (Kid::Text(_), Kid::Text(_)) => true,
            _ => false,
        }
    }

    fn become_kid(&mut self, document: &Document, kid: Kid) {
        match (&mut self.kid, kid) {
            (Kid::Text(old), Kid::Text(new)) if *old != new => {
                self.node.set_node_value(Some(&new));
                *old = new;
            }
            (Kid::El(old), Kid::El(mut new)) => {
                if old.attributes != new.attributes {
                    let element: &Element = wasm_bindgen::JsCast::unchecked_ref(&self.node);
                    set_changed(element, &old.attributes, &new.attributes);
                }
                patch(
                    document,
                    &self.node,
                    None,
                    &mut self.kids,
                    std::mem::take(&mut new.kids),
                );
                *old = new;
            }
            // The same text; `fits` was asked before.
            _ => {}
        }
    }
}

/// Attributes that did not change are left alone: what others set on an element stays.
fn set_changed(element: &Element, old: &[(&'static str, Words)], new: &[(&'static str, Words)]) {
    for (name, value) in new {
        if !old.iter().any(|(n, v)| n == name && v == value) {
            // Names are constants of ours.
            let _ = element.set_attribute(name, value);
        }
    }
    for (name, _) in old {
        if !new.iter().any(|(n, _)| n == name) {
            let _ = element.remove_attribute(name);
        }
    }
}

fn patch(
    document: &Document,
    parent: &Node,
    end: Option<&Node>,
    live: &mut Vec<Live>,
    wanted: Vec<Kid>,
) {
    for gone in live.drain(wanted.len().min(live.len())..) {
        // Fails only if somebody else took it out.
        let _ = parent.remove_child(&gone.node);
    }
    for (i, kid) in wanted.into_iter().enumerate() {
        match live.get_mut(i) {
            Some(old) if old.fits(&kid) => old.become_kid(document, kid),
            old => {
                let Some(fresh) = Live::make(document, kid) else {
                    return;
                };
                // These fail only if somebody else changed the parent.
                match old {
                    Some(old) => {
                        let _ = parent.replace_child(&fresh.node, &old.node);
                        *old = fresh;
                    }
                    None => {
                        let _ = parent.insert_before(&fresh.node, end);
                        live.push(fresh);
                    }
                }
            }
        }
    }
}

/// A part of the page that is kept as it should be: some children of one element.
pub(crate) struct Grown {
    parent: Node,
    /// What stands after them and is not theirs.
    end: Option<Node>,
    live: Vec<Live>,
}

impl Grown {
    /// At the end of `parent`.
    pub(crate) fn within(parent: &Node) -> Self {
        Self {
            parent: parent.clone(),
            end: None,
            live: Vec::new(),
        }
    }

    /// Before `end`, a child of `parent`.
    pub(crate) fn before(parent: &Node, end: &Node) -> Self {
        Self {
            end: Some(end.clone()),
            ..Self::within(parent)
        }
    }

    /// Brings the page there.
    pub(crate) fn become_all(&mut self, kids: Vec<Kid>) {
        if let Some(document) = web_sys::window().and_then(|w| w.document()) {
            patch(
                &document,
                &self.parent,
                self.end.as_ref(),
                &mut self.live,
                kids,
            );
        }
    }
}

impl std::fmt::Debug for Grown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grown").finish_non_exhaustive()
    }
}

/// Makes one element, to be put into the page by the caller.
pub(crate) fn plant(el: El) -> Option<Element> {
    let document = web_sys::window().and_then(|w| w.document())?;
    let live = Live::make(&document, el.into())?;
    wasm_bindgen::JsCast::dyn_into(live.node).ok()
}
