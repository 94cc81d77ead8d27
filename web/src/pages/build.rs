//! What the sandbox's form says, and the scenario file it writes. Plain data: the form edits it,
//! the text that comes out is an ordinary scenario, with Kafka's own keys.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// How records come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LoadKind {
    /// Evenly.
    Constant,
    /// By a Poisson process.
    Poisson,
    /// In bursts of one second, with one second of silence between.
    Bursts,
}

/// Which keys records have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeysKind {
    /// No key.
    None,
    /// Each key equally likely.
    Uniform,
    /// Few keys make most of the load.
    Zipf,
}

/// The form.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Build {
    pub(crate) seed: u64,
    pub(crate) seconds: u32,
    pub(crate) brokers: u32,
    pub(crate) controllers: u32,
    pub(crate) partitions: u32,
    pub(crate) replication: u32,
    pub(crate) min_isr: u32,
    pub(crate) unclean: bool,
    pub(crate) lag_ms: u32,
    pub(crate) session_ms: u32,
    pub(crate) delay_ms: u32,
    pub(crate) producers: u32,
    pub(crate) acks: String,
    pub(crate) idempotence: bool,
    pub(crate) linger_ms: u32,
    pub(crate) load: LoadKind,
    pub(crate) rate: u32,
    pub(crate) keys: KeysKind,
    pub(crate) key_count: u32,
    pub(crate) consumers: u32,
}

impl Default for Build {
    fn default() -> Self {
        Build {
            seed: 42,
            seconds: 120,
            brokers: 3,
            controllers: 3,
            partitions: 1,
            replication: 3,
            min_isr: 2,
            unclean: false,
            lag_ms: 30_000,
            session_ms: 9_000,
            delay_ms: 2,
            producers: 1,
            acks: "all".to_owned(),
            idempotence: true,
            linger_ms: 5,
            load: LoadKind::Constant,
            rate: 25,
            keys: KeysKind::Uniform,
            key_count: 6,
            consumers: 1,
        }
    }
}

impl Build {
    /// What is wrong with a value before the engine is asked: field, message.
    pub(crate) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.replication > self.brokers {
            found.push((
                "replication",
                format!(
                    "{} replicas need as many brokers; there are {}.",
                    self.replication, self.brokers
                ),
            ));
        }
        if self.min_isr > self.replication {
            found.push((
                "min-isr",
                "More than the replication factor: every acks=all write would be refused."
                    .to_owned(),
            ));
        }
        if self.idempotence && self.acks != "all" {
            found.push(("idempotence", "Idempotence needs acks=all.".to_owned()));
        }
        found
    }

    /// The scenario file.
    pub(crate) fn to_toml(&self) -> String {
        let mut out = String::with_capacity(1024);
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "strandline = 1")?;
        writeln!(out, "title = \"A cluster of my own\"")?;
        writeln!(out, "seed = {}", self.seed)?;
        writeln!(out, "duration = \"{}s\"", self.seconds)?;
        writeln!(out, "\n[network]\ndelay = \"{}ms\"", self.delay_ms)?;
        writeln!(
            out,
            "\n[kafka]\nbrokers = {}\ncontrollers = {}",
            self.brokers, self.controllers
        )?;
        writeln!(out, "\n[kafka.config]")?;
        writeln!(out, "\"replica.lag.time.max.ms\" = {}", self.lag_ms)?;
        writeln!(out, "\"broker.session.timeout.ms\" = {}", self.session_ms)?;
        writeln!(
            out,
            "\n[[kafka.topic]]\nname = \"orders\"\npartitions = {}",
            self.partitions
        )?;
        writeln!(out, "replication-factor = {}", self.replication)?;
        writeln!(
            out,
            "\n[kafka.topic.config]\n\"min.insync.replicas\" = {}",
            self.min_isr
        )?;
        writeln!(out, "\"unclean.leader.election.enable\" = {}", self.unclean)?;
        for n in 1..=self.producers {
            writeln!(
                out,
                "\n[[kafka.producer]]\nname = \"p{n}\"\ntopic = \"orders\""
            )?;
            writeln!(out, "\n[kafka.producer.config]\nacks = \"{}\"", self.acks)?;
            writeln!(out, "\"enable.idempotence\" = {}", self.idempotence)?;
            writeln!(out, "\"linger.ms\" = {}", self.linger_ms)?;
            self.write_load(out)?;
        }
        for n in 1..=self.consumers {
            writeln!(
                out,
                "\n[[kafka.consumer]]\nname = \"r{n}\"\ntopic = \"orders\""
            )?;
            writeln!(
                out,
                "\n[kafka.consumer.config]\n\"auto.offset.reset\" = \"earliest\""
            )?;
        }
        Ok(())
    }

    fn write_load(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\n[kafka.producer.load]")?;
        match self.load {
            LoadKind::Constant => writeln!(out, "kind = \"constant\"")?,
            LoadKind::Poisson => writeln!(out, "kind = \"poisson\"")?,
            LoadKind::Bursts => writeln!(out, "kind = \"bursts\"\non = \"1s\"\noff = \"1s\"")?,
        }
        writeln!(out, "rate = {}", self.rate)?;
        let (kind, count) = match self.keys {
            KeysKind::None => return writeln!(out, "keys = {{ kind = \"none\" }}"),
            KeysKind::Uniform => ("uniform", self.key_count),
            KeysKind::Zipf => ("zipf", self.key_count),
        };
        writeln!(out, "keys = {{ kind = \"{kind}\", count = {count} }}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_of_the_form_gives_a_scenario_that_is_read() {
        let choices = [
            Build::default(),
            Build {
                acks: "1".into(),
                idempotence: false,
                ..Build::default()
            },
            Build {
                load: LoadKind::Bursts,
                keys: KeysKind::Zipf,
                ..Build::default()
            },
            Build {
                load: LoadKind::Poisson,
                keys: KeysKind::None,
                ..Build::default()
            },
            Build {
                brokers: 10,
                partitions: 24,
                producers: 3,
                consumers: 3,
                ..Build::default()
            },
            Build {
                brokers: 1,
                controllers: 1,
                replication: 1,
                min_isr: 1,
                ..Build::default()
            },
        ];
        for build in choices {
            assert_eq!(build.problems(), []);
            let text = build.to_toml();
            assert_eq!(crate::host::diagnose(&text), [], "{text}");
        }
    }

    #[test]
    fn what_cannot_work_is_said_at_its_field() {
        let check = |build: Build, field: &str| {
            let fields: Vec<_> = build.problems().into_iter().map(|(f, _)| f).collect();
            assert_eq!(fields, [field]);
        };
        check(
            Build {
                brokers: 2,
                ..Build::default()
            },
            "replication",
        );
        check(
            Build {
                min_isr: 4,
                ..Build::default()
            },
            "min-isr",
        );
        check(
            Build {
                acks: "1".into(),
                ..Build::default()
            },
            "idempotence",
        );
    }
}
