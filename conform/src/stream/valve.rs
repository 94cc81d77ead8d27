//! The watermark of several channels: `StatusWatermarkValve`.

use crate::case::{Case, Checked, same, unknown};
use crate::values::{count, int, list, offset, text, written};
use serde_json::{Value, json};
use sim_core::stream::rules::watermark_valve::{Out, WatermarkValve};

const CHANNELS_MAX: usize = 10_000;

fn active(status: &Value) -> Checked<bool> {
    match text(status)? {
        "ACTIVE" => Ok(true),
        "IDLE" => Ok(false),
        other => Err(unknown("status", other)),
    }
}

pub(crate) fn check(case: &Case) -> Checked {
    let channels = count(offset(&case.config["channels"])?, CHANNELS_MAX)?;
    let mut valve = WatermarkValve::new(channels);
    if !case.config["initial_status"].is_null() && !active(&case.config["initial_status"])? {
        for channel in 0..channels {
            valve.status(channel, false);
        }
    }
    let expected = list(&case.expect["per_step"])?;
    for (number, step) in list(&case.input["steps"])?.iter().enumerate() {
        let channel = count(offset(&step["ch"])?, CHANNELS_MAX)?;
        let out = match (&step["wm"], &step["status"]) {
            (Value::Null, status) => valve.status(channel, active(status)?),
            (watermark, _) => valve.watermark(channel, int(watermark)?),
        };
        let entry = expected.iter().find(|it| it["step"] == json!(number));
        let entry = entry.unwrap_or(&Value::Null);
        let words = out.iter().map(|it| match it {
            Out::Watermark(watermark) => written(*watermark),
            Out::Idle => json!("IDLE"),
            Out::Active => json!("ACTIVE"),
        });
        let nothing = json!([]);
        let wanted = match &entry["out"] {
            Value::Null => &nothing,
            listed => listed,
        };
        same(&format!("step {number}"), &words.collect(), wanted)?;
        if !entry["channel_wm"].is_null() {
            let got = valve.channel_watermark(channel).map(written);
            same(
                &format!("step {number}: the channel's own watermark"),
                &json!(got),
                &entry["channel_wm"],
            )?;
        }
    }
    Ok(())
}
