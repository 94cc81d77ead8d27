//! The site's own parts: icons, dialog, notices, glossary. Their looks are in `assets/css`.

pub(crate) mod dialog;
pub(crate) mod glossary;
pub(crate) mod icons;
pub(crate) mod notices;
pub(crate) mod tabs;

pub(crate) use dialog::Dialog;
pub(crate) use icons::icon;
pub(crate) use notices::{Notices, Tone};
