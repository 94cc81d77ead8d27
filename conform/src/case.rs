//! A conformance file and its cases, and what became of each.

use crate::family;
use serde_json::Value;
use std::rc::Rc;

/// One case of a conformance file.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Case {
    /// Its id, unique in the file.
    pub(crate) id: String,
    /// The file of the real system's test that it restates.
    pub(crate) path: String,
    /// The name of that test.
    pub(crate) test: String,
    /// How the result is to be read: `exact`, `property` or `error`.
    pub(crate) kind: String,
    /// The mechanism within a family of several; may be empty.
    pub(crate) topic: String,
    /// Settings.
    pub(crate) config: Value,
    /// What is given.
    pub(crate) input: Value,
    /// What must come out.
    pub(crate) expect: Value,
    /// All cases of the file, since one may go on where another ends.
    pub(crate) all: Rc<Vec<Value>>,
}

/// Why a case did not pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Something else came out; what.
    Differs(String),
    /// The reader does not know this shape, or the engine does not have the mechanism; why.
    Unsupported(String),
}

/// What a reader of cases answers.
pub(crate) type Checked<T = ()> = Result<T, Fault>;

/// What became of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The engine did what the case expects.
    Pass,
    /// It did something else; what.
    Fail(String),
    /// It was not run; why.
    Unsupported(String),
}

/// What became of a file's cases, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Each case's id and outcome.
    pub cases: Vec<(String, Outcome)>,
}

impl Report {
    /// How many passed, failed, and were unsupported.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |is: fn(&Outcome) -> bool| self.cases.iter().filter(|(_, o)| is(o)).count();
        (
            count(|o| matches!(o, Outcome::Pass)),
            count(|o| matches!(o, Outcome::Fail(_))),
            count(|o| matches!(o, Outcome::Unsupported(_))),
        )
    }
}

/// A file that cannot be read as conformance cases; what is wrong, with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadFile(pub String);

impl std::fmt::Display for BadFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadFile {}

/// Runs every case of a file's text. `name` is the file's name, by which its family is known where
/// the text does not say it.
///
/// # Errors
///
/// [`BadFile`] when the text is not JSON or holds no list of cases.
pub fn run(name: &str, text: &str) -> Result<Report, BadFile> {
    let json: Value =
        serde_json::from_str(text).map_err(|e| BadFile(format!("this is not JSON: {e}")))?;
    let Some(list) = json["cases"].as_array() else {
        return Err(BadFile("there is no list \"cases\" in it".to_owned()));
    };
    let own_name = json["file"].as_str().unwrap_or_default();
    let check = family::of(own_name).or_else(|| family::of(name));
    let all = Rc::new(list.clone());
    let cases = list.iter().enumerate().map(|(number, value)| {
        let case = Case {
            all: Rc::clone(&all),
            ..read(value, number)
        };
        let outcome = match check {
            Some(check) => match check(&case) {
                Ok(()) => Outcome::Pass,
                Err(Fault::Differs(what)) => Outcome::Fail(what),
                Err(Fault::Unsupported(why)) => Outcome::Unsupported(why),
            },
            None => Outcome::Unsupported(format!("no reader for the family of {own_name:?}")),
        };
        (case.id, outcome)
    });
    Ok(Report {
        cases: cases.collect(),
    })
}

fn read(value: &Value, number: usize) -> Case {
    let first = |keys: [&str; 2]| {
        let found = keys.into_iter().find_map(|key| value.get(key));
        found.cloned().unwrap_or(Value::Null)
    };
    let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Case {
        id: value["id"]
            .as_str()
            .map_or_else(|| format!("#{number}"), str::to_owned),
        path: words(&value["source"]["path"]),
        test: words(&value["source"]["test"]),
        kind: value["match"].as_str().unwrap_or("exact").to_owned(),
        topic: words(&value["topic"]),
        config: value["config"].clone(),
        input: value["input"].clone(),
        expect: first(["expect", "expected"]),
        all: Rc::default(),
    }
}

impl Case {
    /// The input of the case that this one continues, if it does: the one whose id begins with what
    /// `continues` says.
    ///
    /// # Errors
    ///
    /// [`Fault::Unsupported`] if the file has no such case.
    pub(crate) fn continued(&self) -> Checked<Option<&Value>> {
        let Some(id) = self.input["continues"].as_str() else {
            return Ok(None);
        };
        let is_it = |case: &&Value| case["id"].as_str().is_some_and(|it| it.starts_with(id));
        match self.all.iter().find(is_it) {
            Some(found) => Ok(Some(&found["input"])),
            None => Err(Fault::Unsupported(format!("there is no case {id}"))),
        }
    }

    /// Compares what came out with one part of what is expected.
    ///
    /// # Errors
    ///
    /// [`Fault::Differs`] with both, when they differ.
    pub(crate) fn same(&self, key: &str, got: &Value) -> Checked {
        same(key, got, &self.expect[key])
    }

    /// Whether the case gives this.
    pub(crate) fn has(&self, key: &str) -> bool {
        !self.input[key].is_null()
    }

    /// Whether the case expects this.
    pub(crate) fn expects(&self, key: &str) -> bool {
        self.expect.get(key).is_some()
    }

    /// Compares every part of what is expected with what `observe` says of it. A part that
    /// `observe` does not know makes the case unsupported.
    ///
    /// # Errors
    ///
    /// The first difference, or what `observe` refuses.
    pub(crate) fn same_all(
        &self,
        mut observe: impl FnMut(&str) -> Checked<Option<Value>>,
    ) -> Checked {
        let Some(parts) = self.expect.as_object() else {
            return Err(Fault::Unsupported("nothing is expected".to_owned()));
        };
        for (key, expected) in parts {
            match observe(key)? {
                Some(got) => same(key, &got, expected)?,
                None => return Err(unknown("expectation", key)),
            }
        }
        Ok(())
    }
}

/// Compares what came out with what is expected.
///
/// # Errors
///
/// [`Fault::Differs`] with both, when they differ.
pub(crate) fn same(what: &str, got: &Value, expected: &Value) -> Checked {
    match got == expected {
        true => Ok(()),
        false => Err(Fault::Differs(format!(
            "{what}: got {got}, expected {expected}"
        ))),
    }
}

/// A shape that the reader does not know.
pub(crate) fn unknown(what: &str, shape: impl std::fmt::Display) -> Fault {
    Fault::Unsupported(format!("the reader does not know the {what} {shape}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(file: &str, case: &str) -> Outcome {
        let text = format!(r#"{{"file": "{file}", "cases": [{case}]}}"#);
        let report = run("x.json", &text).expect("readable");
        report.cases[0].1.clone()
    }

    #[test]
    fn a_wrong_expectation_fails_and_a_foreign_shape_is_unsupported() {
        let epochs = "leader-epoch-cache.json";
        let case = |entries: &str| {
            format!(r#"{{"id": "a", "input": {{"assign": [[2, 10]]}}, "expect": {{{entries}}}}}"#)
        };
        let right = outcome(epochs, &case(r#""entries": [[2, 10]]"#));
        assert_eq!(right, Outcome::Pass);
        let wrong = outcome(epochs, &case(r#""entries": [[2, 11]]"#));
        assert!(matches!(wrong, Outcome::Fail(_)), "{wrong:?}");
        for (file, case) in [
            (epochs, case(r#""colour": 1"#)),
            (
                epochs,
                r#"{"id": "a", "input": {"assign": "x"}}"#.to_owned(),
            ),
            (epochs, "7".to_owned()),
            ("unheard-of.json", case(r#""entries": []"#)),
        ] {
            let got = outcome(file, &case);
            assert!(matches!(got, Outcome::Unsupported(_)), "{case}: {got:?}");
        }
    }

    #[test]
    fn a_file_that_holds_no_cases_is_refused() {
        for text in ["", "{", "{}", "[]", r#"{"cases": 3}"#] {
            assert!(run("x.json", text).is_err(), "{text}");
        }
    }
}
