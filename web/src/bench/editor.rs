//! The code editor of the script tab: a module of its own (`web/js/editor.js`), fetched when the tab
//! is first opened. Where it cannot be had, the plain text field that stands there until then stays.

use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::script::utf16_range;
use crate::host::{Diagnostic, Severity, complete};

/// Under which name the page's head has the module's file.
const META: &str = "strandline-editor";

#[wasm_bindgen]
extern "C" {
    /// Imports a module of the site; `boot.js` provides it.
    #[wasm_bindgen(catch, js_name = strandlineModule)]
    async fn import_module(meta: &str) -> Result<JsValue, JsValue>;

    type Module;
    #[wasm_bindgen(method, catch)]
    fn create(
        this: &Module,
        parent: &web_sys::Element,
        options: &js_sys::Object,
    ) -> Result<View, JsValue>;

    /// The editor on the page.
    pub(super) type View;
    #[wasm_bindgen(method, js_name = setText)]
    pub(super) fn set_text(this: &View, text: &str);
    #[wasm_bindgen(method, js_name = setProblems)]
    fn set_problems_json(this: &View, json: &str);
    #[wasm_bindgen(method)]
    pub(super) fn show(this: &View, from: u32, to: u32);
    #[wasm_bindgen(method)]
    pub(super) fn focus(this: &View);
    #[wasm_bindgen(method)]
    fn destroy(this: &View);
}

#[derive(Serialize)]
struct Mark {
    from: u32,
    to: u32,
    severity: &'static str,
    message: String,
}

/// An editor and what it calls; taken off the page when dropped.
pub(super) struct CodeEditor {
    view: View,
    _changed: Closure<dyn Fn(String)>,
    _complete: Closure<dyn Fn(String, u32) -> String>,
}

impl Drop for CodeEditor {
    fn drop(&mut self) {
        self.view.destroy();
    }
}

impl CodeEditor {
    /// Fetches the module and puts an editor into `parent`; `None` if the build or the browser has
    /// none. `text` is asked for when the module is there: the learner may have typed meanwhile.
    pub(super) async fn start(
        parent: web_sys::Element,
        text: impl Fn() -> Option<String>,
        changed: impl Fn(String) + 'static,
    ) -> Option<CodeEditor> {
        let module: Module = import_module(META).await.ok()?.unchecked_into();
        let text = text()?;
        let changed = Closure::<dyn Fn(String)>::new(changed);
        let complete = Closure::<dyn Fn(String, u32) -> String>::new(|text: String, at: u32| {
            // The engine's completions are plain data; they always serialise.
            serde_json::to_string(&complete(&text, at as usize)).unwrap_or_else(|_| "[]".to_owned())
        });
        let options = js_sys::Object::new();
        for (name, value) in [
            ("text", &JsValue::from_str(&text)),
            ("label", &JsValue::from_str("Scenario file")),
            ("describedBy", &JsValue::from_str("script-problems")),
            ("changed", changed.as_ref()),
            ("complete", complete.as_ref()),
        ] {
            js_sys::Reflect::set(&options, &JsValue::from_str(name), value).ok()?;
        }
        let view = module.create(&parent, &options).ok()?;
        Some(CodeEditor {
            view,
            _changed: changed,
            _complete: complete,
        })
    }

    /// The editor on the page.
    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// Marks what is wrong.
    pub(super) fn set_problems(&self, text: &str, problems: &[Diagnostic]) {
        let marks: Vec<Mark> = problems
            .iter()
            .map(|problem| {
                let (from, to) = utf16_range(text, problem);
                let severity = match problem.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                };
                Mark {
                    from,
                    to,
                    severity,
                    message: problem.message.clone(),
                }
            })
            .collect();
        if let Ok(json) = serde_json::to_string(&marks) {
            self.view.set_problems_json(&json);
        }
    }
}
