//! Queueing laws: a case gives rates and expects what follows from them.
//!
//! Which law is meant follows from the settings; where they do not tell M/D/1 from M/M/1, the words
//! of the case do.

use crate::case::{Case, Checked, Fault, unknown};
use crate::queueing::{
    Model, Station, Unfit, catch_up, keyed_throughput, little, micro_batch_interval_s,
    tandem_sojourn_s,
};
use crate::values::{list, members};
use serde_json::Value;

/// Results of floating-point arithmetic may differ by so much, relatively.
const TOLERANCE: f64 = 1e-9;

fn float(value: &Value) -> Checked<f64> {
    let why = || Fault::Unsupported(format!("a number is expected where the case has {value}"));
    value.as_f64().ok_or_else(why)
}

/// The first of these settings that the case has, from its settings or what is given.
fn setting(case: &Case, names: &[&str]) -> Checked<Option<f64>> {
    for name in names {
        for source in [&case.config, &case.input] {
            match &source[*name] {
                Value::Null | Value::Array(_) => {}
                value => return float(value).map(Some),
            }
        }
    }
    Ok(None)
}

/// The same for a time, which may be in s or in ms.
fn seconds(case: &Case, names: &[&str]) -> Checked<Option<f64>> {
    for name in names {
        if let Some(s) = setting(case, &[&format!("{name}_s"), name])? {
            return Ok(Some(s));
        }
        if let Some(ms) = setting(case, &[&format!("{name}_ms")])? {
            return Ok(Some(ms / 1_000.0));
        }
    }
    Ok(None)
}

/// What a case calls itself, in small letters.
fn words(case: &Case) -> String {
    let own = case.all.iter().find(|it| it["id"] == case.id.as_str());
    let title = own.and_then(|it| it["title"].as_str()).unwrap_or_default();
    let model = case.config["model"].as_str().unwrap_or_default();
    format!("{} {title} {} {model}", case.id, case.path).to_lowercase()
}

fn size(number: f64) -> Checked<u32> {
    let whole = number.fract() == 0.0 && (0.0..1e9).contains(&number);
    match whole {
        true => Ok(number as u32),
        false => Err(unknown("number of places", number)),
    }
}

fn model(case: &Case) -> Checked<Model> {
    let words = words(case);
    let has = |names: &[&str]| names.iter().any(|name| words.contains(name));
    if let Some(places) = setting(case, &["K", "k", "capacity", "places"])? {
        let places = size(places)?;
        return Ok(Model::Bounded { places });
    }
    if let Some(servers) = setting(case, &["c", "servers"])? {
        let servers = size(servers)?;
        return Ok(Model::Exponential { servers });
    }
    let ca2 = setting(case, &["ca2"])?;
    let cs2 = setting(case, &["cs2", "scv", "cv2"])?;
    Ok(match (ca2, cs2) {
        (Some(ca2), Some(cs2)) => Model::Approximate { ca2, cs2 },
        (None, Some(cs2)) => Model::General { cs2 },
        (Some(_), None) => return Err(unknown("settings", &case.config)),
        (None, None) if has(&["m/d/1", "md1"]) => Model::General { cs2: 0.0 },
        (None, None) if has(&["m/m/1", "mm1"]) => Model::Exponential { servers: 1 },
        (None, None) => return Err(unknown("model", words)),
    })
}

fn unfit(why: Unfit) -> Fault {
    Fault::Differs(format!("the station has no steady state: {why:?}"))
}

/// The station of a case, at a utilisation that may be given apart.
fn station(case: &Case, model: Model, rho: Option<f64>) -> Checked<Station> {
    let rho = match rho {
        Some(rho) => Some(rho),
        None => setting(case, &["rho", "utilisation", "utilization"])?,
    };
    let service = seconds(case, &["service_mean", "service_time", "service"])?;
    let mu = match setting(case, &["mu", "service_rate"])? {
        Some(mu) => mu,
        None => service.map_or(1.0, |it| 1.0 / it),
    };
    let servers = match model {
        Model::Exponential { servers } => f64::from(servers),
        _ => 1.0,
    };
    let lambda = setting(case, &["lambda", "arrival_rate"])?;
    let lambda = match (rho, lambda) {
        (Some(rho), _) => rho * mu * servers,
        (None, Some(lambda)) => lambda,
        (None, None) => return Err(unknown("settings", &case.config)),
    };
    Station::new(model, lambda, mu).map_err(unfit)
}

/// The number in a name like `P_n_ge_10` or `p99_sojourn_s`, after this beginning.
fn number_in(name: &str, beginning: &str) -> Option<u32> {
    let rest = name.strip_prefix(beginning)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// A quantile's share: 99 is 0.99, 999 is 0.999.
fn share(name: &str) -> Option<f64> {
    let number = number_in(name, "p")?;
    Some(match number {
        0..100 => f64::from(number) / 100.0,
        _ => f64::from(number) / 1_000.0,
    })
}

/// What a station has by this name.
fn quantity(it: &Station, name: &str) -> Option<f64> {
    if let Some(seconds) = name.strip_suffix("_ms") {
        return quantity(it, &format!("{seconds}_s")).map(|s| s * 1_000.0);
    }
    Some(match name {
        "rho" | "utilisation" | "utilization" => it.utilisation(),
        "L" | "in_flight" | "in_system" => it.in_system(),
        "Lq" | "waiting" => it.waiting(),
        "W_s" | "W" => it.sojourn_s(),
        "Wq_s" | "Wq" | "Wq_s_approx" => it.wait_s(),
        "W_times_service" => it.sojourn_s() * it.mu,
        "Wq_times_service" => it.wait_s() * it.mu,
        "P_wait" | "p_wait" | "erlang_c" | "C" | "P_queue" => it.waits(),
        "P_block" | "p_block" | "P_blocked" | "P_loss" | "P_K" => it.blocked(),
        "throughput" | "throughput_per_s" | "lambda_eff" => it.throughput(),
        "lost_per_s" => it.lambda - it.throughput(),
        "P0" => it.state(0),
        _ => {
            if let Some(n) = number_in(name, "P_n_ge_").or(number_in(name, "P_ge_")) {
                it.at_least(n)
            } else if let Some(n) = number_in(name, "P_n_gt_") {
                it.at_least(n.checked_add(1)?)
            } else if let Some(n) = number_in(name, "P_n_eq_").or(number_in(name, "P_n_")) {
                it.state(n)
            } else if let Some(n) = number_in(name, "P") {
                it.state(n)
            } else if name.ends_with("sojourn_s") || name.ends_with("W_s") {
                it.sojourn_quantile_s(share(name)?)
            } else if name.ends_with("wait_s") || name.ends_with("Wq_s") {
                it.wait_quantile_s(share(name)?)
            } else {
                return None;
            }
        }
    })
    .filter(|it| !it.is_nan())
}

/// The same for another model at the same rates, where the name ends in one.
fn compared(it: &Station, name: &str) -> Option<f64> {
    let other = |model| Station { model, ..*it };
    let one = Model::Exponential { servers: 1 };
    if matches!(name, "ratio_to_mm1" | "vs_mm1") {
        return Some(it.waiting() / other(one).waiting());
    }
    if let Some(name) = name.strip_suffix("_mm1") {
        return quantity(&other(one), name);
    }
    if let Some(name) = name.strip_suffix("_md1") {
        return quantity(&other(Model::General { cs2: 0.0 }), name);
    }
    quantity(it, name)
}

fn near(what: &str, got: f64, expected: &Value) -> Checked {
    let wanted = float(expected)?;
    let error = (got - wanted).abs();
    match error <= TOLERANCE * wanted.abs().max(1e-3) {
        true => Ok(()),
        false => Err(Fault::Differs(format!(
            "{what}: got {got}, expected {wanted}"
        ))),
    }
}

/// What a law gives: each number with the names that cases may use for it.
type Given = Vec<(&'static [&'static str], f64)>;

/// A law of one line, if the case is about one.
fn law(case: &Case) -> Checked<Option<Given>> {
    let rate = setting(case, &["throughput", "lambda", "rate", "arrival_rate", "r"])?;
    let outage = seconds(case, &["outage", "D", "downtime"])?;
    let capacity = setting(case, &["capacity", "c", "catch_up_rate"])?;
    if let (Some(outage), Some(rate), Some(capacity)) = (outage, rate, capacity) {
        let (backlog, time) = catch_up(outage, rate, capacity);
        return Ok(Some(vec![
            (&["backlog", "backlog_records"], backlog),
            (&["catch_up_s", "catchup_s", "time_s"], time),
        ]));
    }
    let stay = seconds(case, &["mean_time", "W", "latency"])?;
    let inside = setting(case, &["in_flight", "L"])?;
    if stay.is_some() || inside.is_some() {
        let names: &[&str] = &["in_flight", "L"];
        return Ok(match (rate, stay, inside) {
            (Some(rate), Some(stay), None) => Some(vec![(names, little(rate, stay))]),
            (Some(rate), None, Some(inside)) if rate > 0.0 => {
                Some(vec![(&["mean_time_s", "W_s", "latency_s"], inside / rate)])
            }
            (None, Some(stay), Some(inside)) if stay > 0.0 => {
                Some(vec![(&["throughput", "lambda"], inside / stay)])
            }
            _ => None,
        });
    }
    let per_subtask = setting(case, &["per_subtask", "subtask_rate", "c_sub"])?;
    let share = setting(case, &["share", "max_share", "hot_share", "h"])?;
    if let (Some(per_subtask), Some(share)) = (per_subtask, share) {
        let most = keyed_throughput(per_subtask, share);
        return Ok(Some(vec![(&["throughput", "max_throughput"], most)]));
    }
    let fixed = seconds(case, &["fixed", "overhead", "a"])?;
    let per_record = seconds(case, &["per_record", "b"])?;
    if let (Some(fixed), Some(per_record), Some(rate)) = (fixed, per_record, rate) {
        let interval = micro_batch_interval_s(fixed, per_record, rate).unwrap_or(f64::INFINITY);
        return Ok(Some(vec![(
            &["interval_s", "T_s", "T_min_s", "min_interval_s"],
            interval,
        )]));
    }
    Ok(None)
}

/// Stations in a row.
fn tandem(case: &Case) -> Checked<Option<f64>> {
    let rates = ["mu", "mus", "stations", "stages"];
    let found = rates.iter().find(|name| case.config[**name].is_array());
    let (Some(name), Some(lambda)) = (found, setting(case, &["lambda", "arrival_rate"])?) else {
        return Ok(None);
    };
    let rates = list(&case.config[*name])?.iter().map(float);
    let rates = rates.collect::<Checked<Vec<_>>>()?;
    tandem_sojourn_s(lambda, &rates).map(Some).map_err(unfit)
}

/// A table: one station for each utilisation or arrival rate of a list.
fn table(case: &Case, model: Model) -> Checked<Option<Vec<Station>>> {
    let found = |name: &str| {
        let places = [&case.config[name], &case.input[name], &case.expect[name]];
        places.into_iter().find(|it| it.is_array())
    };
    let mu = setting(case, &["mu", "service_rate"])?.unwrap_or(1.0);
    let (rates, by) = match (found("rho"), found("lambda")) {
        (Some(rho), _) => (rho, mu),
        (None, Some(lambda)) => (lambda, 1.0),
        (None, None) => return Ok(None),
    };
    let each = list(rates)?.iter().map(|rate| {
        let lambda = float(rate)? * by;
        Station::new(model, lambda, mu).map_err(unfit)
    });
    each.collect::<Checked<_>>().map(Some)
}

fn same_table(case: &Case, stations: &[Station]) -> Checked {
    for (name, expected) in members(&case.expect)? {
        let rows = list(expected)?;
        if rows.len() != stations.len() {
            return Err(unknown("table", expected));
        }
        for (number, (station, expected)) in stations.iter().zip(rows).enumerate() {
            let got = compared(station, name).ok_or_else(|| unknown("expectation", name))?;
            near(&format!("{name}[{number}]"), got, expected)?;
        }
    }
    Ok(())
}

pub(crate) fn check(case: &Case) -> Checked {
    if members(&case.expect)?.is_empty() {
        return Err(unknown("case", "in which nothing is expected"));
    }
    if let Some(time) = tandem(case)? {
        for (name, expected) in members(&case.expect)? {
            match name {
                "W_s" | "W" | "total_s" | "sojourn_s" => near(name, time, expected)?,
                "W_ms" => near(name, time * 1_000.0, expected)?,
                _ => return Err(unknown("expectation", name)),
            }
        }
        return Ok(());
    }
    if let Some(found) = law(case)? {
        for (name, expected) in members(&case.expect)? {
            let got = found.iter().find(|(names, _)| names.contains(&name));
            let (_, got) = got.ok_or_else(|| unknown("expectation", name))?;
            near(name, *got, expected)?;
        }
        return Ok(());
    }
    let model = model(case)?;
    if let Some(stations) = table(case, model)? {
        return same_table(case, &stations);
    }
    let station = station(case, model, None)?;
    for (name, expected) in members(&case.expect)? {
        let got = compared(&station, name).ok_or_else(|| unknown("expectation", name))?;
        near(name, got, expected)?;
    }
    Ok(())
}
