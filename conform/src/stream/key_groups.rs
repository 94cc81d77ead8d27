//! Key groups: `KeyGroupRangeAssignment`.

use crate::case::{Case, Checked, Fault};
use crate::values::{int32, list, narrow, offset, text};
use serde_json::{Value, json};
use sim_core::stream::rules::key_group::{KeyGroups, string_hash};

fn groups(max_parallelism: &Value, parallelism: &Value) -> Checked<KeyGroups> {
    let (max, parallelism) = (offset(max_parallelism)?, offset(parallelism)?);
    KeyGroups::new(narrow(max)?, narrow(parallelism)?)
        .map_err(|refused| Fault::Differs(refused.to_owned()))
}

fn ranges(groups: &KeyGroups) -> Value {
    let pairs = groups
        .ranges()
        .map(|range| json!([range.start(), range.end()]));
    pairs.collect()
}

pub(crate) fn check(case: &Case) -> Checked {
    let (config, input) = (&case.config, &case.input);
    let own = || groups(&config["max_parallelism"], &config["parallelism"]);
    let of_each = |list_of: &Value, index: &dyn Fn(&Value) -> Checked<u32>| -> Checked<Value> {
        let each: Checked<Vec<u32>> = list(list_of)?.iter().map(index).collect();
        Ok(json!(each?))
    };
    let group = |value: &Value| narrow(offset(value)?);
    case.same_all(|key| {
        Ok(Some(match key {
            "operator_index" => {
                let groups = own()?;
                of_each(&input["key_groups"], &|it| {
                    Ok(groups.operator_index(group(it)?))
                })?
            }
            "wrong_modulo_rule" => {
                let groups = own()?;
                of_each(&input["key_groups"], &|it| {
                    Ok(groups.modulo_index(group(it)?))
                })?
            }
            "key_group" | "key_groups" => {
                let groups = own()?;
                let hashes = of_each(&input["hash_codes"], &|it| {
                    Ok(groups.group_of(int32(it)?))
                })?;
                match input["keys"].is_null() {
                    true => hashes,
                    false => of_each(&input["keys"], &|it| {
                        Ok(groups.group_of(string_hash(text(it)?)))
                    })?,
                }
            }
            "default_max_parallelism" => of_each(&input["parallelism"], &|it| {
                Ok(KeyGroups::default_max_parallelism(group(it)?))
            })?,
            "ranges" => ranges(&own()?),
            "rows" => {
                let row = |pair: &Value| {
                    let ranges = ranges(&groups(&pair[0], &pair[1])?);
                    Ok(json!({"max_parallelism": pair[0], "parallelism": pair[1], "ranges": ranges}))
                };
                let rows: Checked<Vec<Value>> = list(&input["cases"])?.iter().map(row).collect();
                json!(rows?)
            }
            "new_subtask_oldsubtasks_range" => {
                let old = groups(&config["max_parallelism"], &config["from"])?;
                let new = groups(&config["max_parallelism"], &config["to"])?;
                let rows = (0..).zip(new.ranges()).map(|(subtask, range)| {
                    let from: Vec<u32> = new.reads_from(subtask, &old).collect();
                    json!([subtask, from, [range.start(), range.end()]])
                });
                rows.collect()
            }
            _ => return Ok(None),
        }))
    })
}
