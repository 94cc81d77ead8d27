//! The first half of the site: what is there before the application. It draws the frame of every
//! page, and the home page with its running cluster; then it has the second half loaded (see
//! [`crate::later`]) and makes way. The home page goes on as it is, inside the application.

mod deeds;
mod draw;
mod frame;
mod home;

use std::cell::RefCell;

use gloo_timers::callback::Timeout;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, EventTarget, HtmlElement, MouseEvent};

pub(crate) use frame::{footer, header, part};
pub(crate) use home::{BEGIN, Guest, Home};

use crate::listen::{Listener, marked};
use crate::tree::{Grown, plant};
use crate::{base, later, theme};

/// After its beginning the home page has the machine to itself for so long, ms.
const HEAD_START_MS: u32 = 400;
/// Words in passing stay for so long, ms.
const NOTICE_MS: u32 = 6_000;

/// How far the second half has come.
#[derive(Clone, Copy)]
enum Second {
    /// Nobody has asked for it.
    Unasked,
    /// It is on its way.
    Coming,
    /// It waits for a finger to be lifted.
    Ready(later::App),
    /// It is at work.
    There,
    /// It did not come.
    Failed,
}

/// The light frame, while it stands.
struct Light {
    site: Element,
    notices: Element,
    header: Grown,
    said: Grown,
    main: Element,
    part: String,
    open: bool,
    theme: String,
    pressed: bool,
    second: Second,
    /// Where a visitor wanted to go who could not.
    wanted: Option<String>,
    home: Option<Home>,
    fading: Option<Timeout>,
    _listeners: Vec<Listener>,
}

thread_local! {
    static LIGHT: RefCell<Option<Light>> = const { RefCell::new(None) };
}

fn light<T>(change: impl FnOnce(&mut Light) -> T) -> Option<T> {
    LIGHT.with_borrow_mut(|light| light.as_mut().map(change))
}

/// Begins: draws what can be drawn, and has the rest loaded.
pub(crate) fn start() {
    let Some(window) = web_sys::window() else {
        return;
    };
    let path = window.location().pathname().unwrap_or_default();
    let at_home = path.trim_end_matches('/') == base::path();
    let Some(main) = stand(&window, &path, at_home) else {
        return;
    };
    if at_home {
        if let Some(document) = window.document() {
            document.set_title("Strandline");
        }
        let home = Home::begin(&main);
        light(|l| l.home = home);
        // The second frame comes when the first is on the screen.
        crate::raf::after(2, || {
            Timeout::new(HEAD_START_MS, load).forget();
        });
    } else {
        Grown::within(&main).become_all(vec![frame::loading().into()]);
        load();
    }
}

/// Puts the frame into the page; its main part.
fn stand(window: &web_sys::Window, path: &str, at_home: bool) -> Option<Element> {
    let body = window.document()?.body()?;
    let site = plant(frame::site(at_home))?;
    let notices = plant(frame::notices())?;
    for part in [&site, &notices] {
        body.append_child(part).ok()?;
    }
    let find = |what| site.query_selector(what).ok().flatten();
    let (header, main) = (find("header")?, find("main")?);
    let mut made = Light {
        header: Grown::within(&header),
        said: Grown::within(&notices),
        main: main.clone(),
        part: part(path),
        open: false,
        theme: theme::chosen(),
        pressed: false,
        second: Second::Unasked,
        wanted: None,
        home: None,
        fading: None,
        _listeners: listen(window, &site, &notices),
        site,
        notices,
    };
    made.dress();
    LIGHT.set(Some(made));
    Some(main)
}

impl Light {
    /// Brings the header up to date.
    fn dress(&mut self) {
        self.header
            .become_all(header(&self.part, self.open, &self.theme));
    }
}

fn listen(window: &EventTarget, site: &Element, notices: &Element) -> Vec<Listener> {
    let on_click = |target: &Element| Listener::on::<MouseEvent>(target, "click", click);
    // Whoever does something will soon want the whole site.
    let wanted = |kind| Listener::on::<Event>(window, kind, |_| load());
    let lifted = |kind| {
        Listener::on::<Event>(window, kind, |_| {
            // The click that belongs to it comes first.
            Timeout::new(0, || {
                light(|l| l.pressed = false);
                hand_over();
            })
            .forget();
        })
    };
    vec![
        on_click(site),
        on_click(notices),
        Listener::on::<Event>(window, "pointerdown", |_| {
            light(|l| l.pressed = true);
            load();
        }),
        wanted("keydown"),
        wanted("wheel"),
        wanted("touchstart"),
        lifted("pointerup"),
        lifted("pointercancel"),
    ]
}

/// What a click in the frame does.
fn click(event: &MouseEvent) {
    if let Some((_, act)) = marked(event, "data-act") {
        match act.as_str() {
            "menu" => {
                light(|l| {
                    l.open = !l.open;
                    l.dress();
                });
            }
            "theme" => {
                let next = theme::turn(&light(|l| l.theme.clone()).unwrap_or_default());
                light(|l| {
                    next.clone_into(&mut l.theme);
                    l.dress();
                });
            }
            "skip" => focus(light(|l| l.main.clone()).as_ref()),
            "again" => again(),
            _ => {}
        }
        return;
    }
    // A link leads where it says, to a page that stands by itself. Where nothing can be loaded one
    // stays with the cluster that runs.
    let failed = light(|l| matches!(l.second, Second::Failed) && l.home.is_some()) == Some(true);
    if let (true, Some((_, href))) = (failed, marked(event, "href")) {
        event.prevent_default();
        light(|l| {
            l.wanted = Some(href);
            l.said.become_all(vec![frame::problem(true).into()]);
        });
    }
}

/// Tries again to get what could not be loaded.
fn again() {
    let Some(window) = web_sys::window() else {
        return;
    };
    let wanted = light(|l| l.wanted.clone()).flatten();
    // What the browser refuses leaves the message standing.
    let _ = match wanted {
        Some(href) => window.location().assign(&format!("{}{href}", base::url())),
        None => window.location().reload(),
    };
}

fn focus(element: Option<&Element>) {
    if let Some(element) = element.and_then(|e| e.dyn_ref::<HtmlElement>()) {
        // An element that cannot take the focus leaves it where it is.
        let _ = element.focus();
    }
}

/// Has the second half loaded, once.
pub(crate) fn load() {
    let unasked = light(|l| {
        let unasked = matches!(l.second, Second::Unasked);
        if unasked {
            l.second = Second::Coming;
        }
        unasked
    });
    if unasked != Some(true) {
        return;
    }
    wasm_bindgen_futures::spawn_local(async {
        match later::app().await {
            Ok(app) => {
                light(|l| l.second = Second::Ready(app));
                hand_over();
            }
            Err(later::NotLoaded) => failed(),
        }
    });
}

/// Lets the application take over, unless a finger or a button is down: what it began must end on
/// the same element.
fn hand_over() {
    let app = light(|l| match l.second {
        Second::Ready(app) if !l.pressed => {
            l.second = Second::There;
            Some(app)
        }
        _ => None,
    });
    if let Some(app) = app.flatten() {
        (app.mount)();
    }
}

/// Without the second half the home page runs on; other pages say what is wrong.
fn failed() {
    let home = light(|l| {
        l.second = Second::Failed;
        if l.home.is_none() {
            l.main.set_text_content(None);
            let page = crate::tree::el("div")
                .class("page")
                .with(frame::problem(false));
            Grown::within(&l.main).become_all(vec![page.into()]);
        }
        l.home.clone()
    });
    if let Some(home) = home.flatten() {
        home.stay_alone();
    }
}

/// Tells something in passing, before there is an application to do so.
fn say(text: String) {
    light(|l| {
        l.said.become_all(vec![frame::notice(text).into()]);
        l.fading = Some(Timeout::new(NOTICE_MS, || {
            light(|l| l.said.become_all(Vec::new()));
        }));
    });
}

/// Puts the home page into `place`, a part of the application: the one that runs already, as it
/// is, or a new one.
pub(crate) fn settle(place: &Element) -> Option<Home> {
    let Some(home) = light(|l| l.home.take()).flatten() else {
        let home = Home::begin(place);
        retire();
        return home;
    };
    let scroll = web_sys::window().and_then(|w| w.scroll_y().ok());
    home.move_to(place);
    retire();
    if let (Some(window), Some(y)) = (web_sys::window(), scroll) {
        window.scroll_to_with_x_and_y(0.0, y);
    }
    Some(home)
}

/// Takes the light frame away: the application's stands. What had the focus in one has it in the
/// other.
pub(crate) fn retire() {
    let Some(light) = LIGHT.take() else { return };
    let document = web_sys::window().and_then(|w| w.document());
    let active = document
        .as_ref()
        .and_then(web_sys::Document::active_element);
    let held = active.filter(|e| light.site.contains(Some(e)));
    let like = held.and_then(|e| like(&e));
    light.site.remove();
    light.notices.remove();
    let found = document.zip(like);
    let found = found.and_then(|(document, like)| document.query_selector(&like).ok().flatten());
    focus(found.as_ref());
}

/// A selector for the element of the other frame that is like this one.
fn like(element: &Element) -> Option<String> {
    if let Some(href) = element.get_attribute("href") {
        return Some(format!(".site a[href=\"{href}\"]"));
    }
    let of = |name: &str| {
        let value = element.get_attribute(name)?;
        Some(format!(".site [{name}=\"{value}\"]"))
    };
    of("data-act").or_else(|| of("id"))
}
