//! One animation-frame loop for the whole page.
//!
//! Workbenches register a callback; the loop asks the browser for a frame only while a callback
//! wants one, so a paused page costs nothing. One closure lives as long as the page (a closure per
//! frame would be garbage sixty times a second). The browser stops frames in hidden tabs; the
//! callbacks get the time since *their* last frame, capped, so that coming back does not leap.

use std::cell::RefCell;
use std::rc::Rc;

use crate::lengths::within;

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

/// Longest step handed to a callback, ms.
const STEP_MAX_MS: f64 = 100.0;

/// Gets the milliseconds since its last frame (0 on the first); says whether it wants another.
type Callback = Rc<RefCell<dyn FnMut(f64) -> bool>>;

/// The one closure that the browser calls.
type FrameClosure = Rc<Closure<dyn FnMut(f64)>>;

struct Client {
    id: u64,
    call: Callback,
    awake: bool,
    last: Option<f64>,
}

#[derive(Default)]
struct Loop {
    clients: Vec<Client>,
    next_id: u64,
    asked: bool,
    closure: Option<FrameClosure>,
}

thread_local! {
    static LOOP: RefCell<Loop> = RefCell::new(Loop::default());
}

/// Names a registered callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FrameId(u64);

/// Adds a callback, asleep.
pub(crate) fn register(call: impl FnMut(f64) -> bool + 'static) -> FrameId {
    LOOP.with_borrow_mut(|l| {
        l.next_id += 1;
        let id = l.next_id;
        l.clients.push(Client {
            id,
            call: Rc::new(RefCell::new(call)),
            awake: false,
            last: None,
        });
        FrameId(id)
    })
}

/// Takes a callback out. Does nothing if it is out already.
pub(crate) fn remove(id: FrameId) {
    LOOP.with_borrow_mut(|l| l.clients.retain(|c| c.id != id.0));
}

/// Lets a callback run from the next frame on, until it says that it wants no more.
pub(crate) fn wake(id: FrameId) {
    let ask = LOOP.with_borrow_mut(|l| {
        let Some(client) = l.clients.iter_mut().find(|c| c.id == id.0) else {
            return false;
        };
        if !client.awake {
            client.awake = true;
            client.last = None;
        }
        !std::mem::replace(&mut l.asked, true)
    });
    if ask {
        ask_browser();
    }
}

fn ask_browser() {
    let closure = LOOP.with_borrow_mut(|l| {
        l.closure
            .get_or_insert_with(|| Rc::new(Closure::new(run_frame)))
            .clone()
    });
    if let Some(window) = web_sys::window() {
        // A refusal (no window, no frames) leaves the page still, and stepping still works.
        let _ = window.request_animation_frame(closure.as_ref().as_ref().unchecked_ref());
    }
}

fn run_frame(timestamp: f64) {
    let due: Vec<(u64, Callback, f64)> = LOOP.with_borrow_mut(|l| {
        l.asked = false;
        l.clients
            .iter_mut()
            .filter(|c| c.awake)
            .map(|c| {
                let step = c
                    .last
                    .map_or(0.0, |last| within(timestamp - last, 0.0, STEP_MAX_MS));
                c.last = Some(timestamp);
                (c.id, c.call.clone(), step)
            })
            .collect()
    });
    for (id, call, step) in due {
        let more = (call.borrow_mut())(step);
        LOOP.with_borrow_mut(|l| {
            if let Some(client) = l.clients.iter_mut().find(|c| c.id == id) {
                client.awake = more;
            }
        });
    }
    let ask = LOOP.with_borrow_mut(|l| {
        let wanted = l.clients.iter().any(|c| c.awake);
        wanted && !std::mem::replace(&mut l.asked, true)
    });
    if ask {
        ask_browser();
    }
}

/// Calls `call` once, in so many frames.
pub(crate) fn after(frames: u32, call: impl FnOnce() + 'static) {
    let slot: Rc<RefCell<Option<FrameId>>> = Rc::default();
    let (mut left, mut call, own) = (frames, Some(call), slot.clone());
    let id = register(move |_| {
        left = left.saturating_sub(1);
        if left > 0 {
            return true;
        }
        if let Some(call) = call.take() {
            call();
        }
        if let Some(id) = own.borrow_mut().take() {
            remove(id);
        }
        false
    });
    *slot.borrow_mut() = Some(id);
    wake(id);
}
