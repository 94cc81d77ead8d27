//! The site: begins with what can be drawn at once, and mounts the Leptos application into the page.
//!
//! The engine is the truth and lives in `sim_core`; what stands here shows it, moves its time and
//! passes on what the learner does. `host` is the border to the engine, `hero` what is there before
//! the application (`later` has that loaded), `bench` the workbench that all pages share, `stage`
//! the picture, `tree` how the page is drawn without a framework, `pages` the pages, `lesson` the
//! blocks of a lesson.

// `#[component]` writes a public struct of properties beside each component, whatever its reach.
#![allow(unreachable_pub)]

mod app;
mod base;
mod bench;
mod catalog;
mod files;
mod format;
mod hero;
mod host;
mod later;
mod lengths;
mod lesson;
mod listen;
mod pages;
mod raf;
pub mod stage;
mod store;
mod theme;
mod tree;
mod ui;

// As fast as the standard one for the engine, and 3 KB smaller (gzip).
#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

fn main() {
    console_error_panic_hook::set_once();
    hero::start();
}
