//! The site: mounts the Leptos application into the page.
//!
//! The engine is the truth and lives in `sim_core`; what stands here shows it, moves its time and
//! passes on what the learner does. `host` is the border to the engine, `bench` the workbench that
//! all pages share, `stage` the picture, `pages` the pages, `lesson` the blocks of a lesson.

// `#[component]` writes a public struct of properties beside each component, whatever its reach.
#![allow(unreachable_pub)]

mod app;
mod base;
mod bench;
mod catalog;
mod files;
mod format;
mod host;
mod later;
mod lesson;
mod pages;
mod raf;
pub mod stage;
mod store;
mod ui;

use leptos::prelude::*;

fn main() {
    console_error_panic_hook::set_once();
    mount_to_body(app::App);
}
