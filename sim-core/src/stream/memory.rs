//! How the memory of a TaskManager is divided.
//!
//! Follows `TaskExecutorProcessUtils`, `ProcessMemoryUtils`, `TaskExecutorFlinkMemoryUtils` and
//! `MemorySize` of Flink 2.x, and `RocksDBMemoryControllerUtils` for what a slot's share of managed
//! memory gives to write buffers. Fractions are Flink's `float`s: what comes of them is what its log
//! says, to the byte. Left out: the number of buffers that Flink 2.0 removed, what external
//! resources take, the JobManager's own memory, and shares of managed memory for Python and other
//! weights than equal ones (`taskmanager.memory.managed.consumer-weights`).

use super::config::{JobConfig, StateBackend};
use super::job::Job;
use super::protocol::TaskId;
use super::rules::external_sort::SortPlan;
use super::spec::{JobSpec, OperatorKind, OperatorSpec};
use crate::settings::Ratio;
use serde::Serialize;

const NETWORK: &str = "taskmanager.memory.network";
const OVERHEAD: &str = "taskmanager.memory.jvm-overhead";

/// The areas of a TaskManager's memory (`TaskExecutorProcessSpec`), bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct MemoryAreas {
    /// Heap of the framework.
    pub framework_heap: u64,
    /// Heap of tasks: objects of users, and state on the heap.
    pub task_heap: u64,
    /// Direct and native memory of the framework.
    pub framework_off_heap: u64,
    /// The same of tasks.
    pub task_off_heap: u64,
    /// Direct memory of network buffers.
    pub network: u64,
    /// Native memory that Flink hands out by itself: RocksDB, sorting.
    pub managed: u64,
    /// Metaspace of the JVM.
    pub metaspace: u64,
    /// What else the JVM takes: threads, code cache, the collector.
    pub overhead: u64,
}

impl MemoryAreas {
    /// Total Flink memory.
    #[must_use]
    pub fn flink(&self) -> u64 {
        let heap = self.framework_heap + self.task_heap;
        heap + self.framework_off_heap + self.task_off_heap + self.network + self.managed
    }

    /// Total process memory: what a container is asked for.
    #[must_use]
    pub fn process(&self) -> u64 {
        self.flink() + self.metaspace + self.overhead
    }
}

/// A share of something, with bounds (`RangeFraction`).
struct Range {
    fraction: f64,
    min: u64,
    max: u64,
}

impl Range {
    fn of(name: &str, fraction: Ratio, (min, max): (u64, u64)) -> Result<Self, String> {
        if min > max || fraction.0 >= 1_000_000 {
            let (least, most) = (readable(min), readable(max));
            let shown = f64::from(fraction.0) / 1e6;
            return Err(format!(
                "Inconsistently configured {name}.fraction ({shown}) and its min ({least}), max \
                 ({most}) value"
            ));
        }
        Ok(Range {
            fraction: float(fraction),
            min,
            max,
        })
    }

    fn has(&self, bytes: u64) -> bool {
        (self.min..=self.max).contains(&bytes)
    }

    /// Of a whole.
    fn share(&self, base: u64) -> u64 {
        multiplied(base, self.fraction).clamp(self.min, self.max)
    }

    /// Beside the rest of a whole.
    fn beside(&self, rest: u64) -> u64 {
        let of_rest = self.fraction / (1.0 - self.fraction);
        multiplied(rest, of_rest).clamp(self.min, self.max)
    }
}

/// A fraction as `Configuration.getFloat` hands it to a `double`.
fn float(fraction: Ratio) -> f64 {
    f64::from((f64::from(fraction.0) / 1e6) as f32)
}

/// `MemorySize.multiply`: exact with the shortest decimal that the factor is told by.
fn multiplied(bytes: u64, by: f64) -> u64 {
    let text = by.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    // 17 places and 50 bits are less than 128 bits; what is behind them changes no byte.
    let part: String = part.chars().take(20).collect();
    let digits = format!("{whole}{part}").parse::<u128>().unwrap_or(0);
    let product = u128::from(bytes).saturating_mul(digits);
    let bytes = product / 10_u128.pow(part.len() as u32);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// `MemorySize.toHumanReadableString`.
#[must_use]
pub fn readable(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("tb", 1 << 40),
        ("gb", 1 << 30),
        ("mb", 1 << 20),
        ("kb", 1 << 10),
    ];
    match UNITS.iter().find(|(_, unit)| bytes > *unit) {
        Some((name, unit)) => {
            let approximate = bytes as f64 / *unit as f64;
            format!("{approximate:.3}{name} ({bytes} bytes)")
        }
        None => format!("{bytes} bytes"),
    }
}

impl JobConfig {
    /// The areas of a TaskManager's memory; `None` if nothing says how large it is, so that memory
    /// is no matter.
    ///
    /// # Errors
    ///
    /// What contradicts what, in Flink's words.
    pub fn memory(&self) -> Result<Option<MemoryAreas>, String> {
        let explicit = self.task_heap.zip(self.managed_size);
        if let Some((heap, managed)) = explicit {
            return self.explicit(heap.0, managed.0).map(Some);
        }
        if let Some(flink) = self.flink_size {
            let areas = self.of_flink(flink.0)?;
            return self.with_jvm(areas).map(Some);
        }
        let Some(process) = self.process_size else {
            return Ok(None);
        };
        let (process, metaspace) = (process.0, self.metaspace.0);
        let overhead = self.overhead_range()?.share(process);
        let Some(flink) = process.checked_sub(metaspace + overhead) else {
            return Err(format!(
                "Sum of configured JVM Metaspace ({}) and JVM Overhead ({}) exceed configured Total \
                 Process Memory ({}).",
                readable(metaspace),
                readable(overhead),
                readable(process)
            ));
        };
        let areas = self.of_flink(flink)?;
        Ok(Some(MemoryAreas {
            metaspace,
            overhead,
            ..areas
        }))
    }

    fn network_range(&self) -> Result<Range, String> {
        let most = self.network_max.map_or(u64::MAX, |it| it.0);
        Range::of(NETWORK, self.network_fraction, (self.network_min.0, most))
    }

    fn overhead_range(&self) -> Result<Range, String> {
        let bounds = (self.overhead_min.0, self.overhead_max.0);
        Range::of(OVERHEAD, self.overhead_fraction, bounds)
    }

    /// Areas with nothing in those that depend on others.
    fn fixed(&self) -> MemoryAreas {
        MemoryAreas {
            framework_heap: self.framework_heap.0,
            task_heap: 0,
            framework_off_heap: self.framework_off_heap.0,
            task_off_heap: self.task_off_heap.0,
            network: 0,
            managed: 0,
            metaspace: 0,
            overhead: 0,
        }
    }

    /// With task heap and managed memory given (`deriveFromInternalMemory`).
    fn explicit(&self, task_heap: u64, managed: u64) -> Result<MemoryAreas, String> {
        let mut areas = MemoryAreas {
            task_heap,
            managed,
            ..self.fixed()
        };
        areas.network = match self.flink_size {
            Some(flink) => self.rest_for_network(&areas, flink.0)?,
            None => self.network_range()?.beside(areas.flink()),
        };
        self.with_jvm(areas)
    }

    /// What is left of the total for network buffers.
    fn rest_for_network(&self, areas: &MemoryAreas, flink: u64) -> Result<u64, String> {
        let Some(network) = flink.checked_sub(areas.flink()) else {
            return Err(format!(
                "Sum of configured Framework Heap Memory ({}), Framework Off-Heap Memory ({}), Task \
                 Heap Memory ({}), Task Off-Heap Memory ({}) and Managed Memory ({}) exceed \
                 configured Total Flink Memory ({}).",
                readable(areas.framework_heap),
                readable(areas.framework_off_heap),
                readable(areas.task_heap),
                readable(areas.task_off_heap),
                readable(areas.managed),
                readable(flink)
            ));
        };
        let range = self.network_range()?;
        if range.has(network) {
            return Ok(network);
        }
        Err(format!(
            "If Total Flink, Task Heap and (or) Managed Memory sizes are explicitly configured then the \
             Network Memory size is the rest of the Total Flink memory after subtracting all other \
             configured types of memory, but the derived Network Memory is inconsistent with its \
             configuration. Derived Network Memory size ({}) is not in configured Network Memory range \
             [{}, {}].",
            readable(network),
            readable(range.min),
            readable(range.max)
        ))
    }

    /// With the total given (`deriveFromTotalFlinkMemory`).
    fn of_flink(&self, flink: u64) -> Result<MemoryAreas, String> {
        let share = || multiplied(flink, float(self.managed_fraction));
        let mut areas = self.fixed();
        areas.managed = self.managed_size.map_or_else(share, |it| it.0);
        if let Some(heap) = self.task_heap {
            areas.task_heap = heap.0;
            areas.network = self.rest_for_network(&areas, flink)?;
            return Ok(areas);
        }
        areas.network = self.network_range()?.share(flink);
        let Some(rest) = flink.checked_sub(areas.flink()) else {
            return Err(format!(
                "Sum of configured Framework Heap Memory ({}), Framework Off-Heap Memory ({}), Task \
                 Off-Heap Memory ({}), Managed Memory ({}) and Network Memory ({}) exceed configured \
                 Total Flink Memory ({}).",
                readable(areas.framework_heap),
                readable(areas.framework_off_heap),
                readable(areas.task_off_heap),
                readable(areas.managed),
                readable(areas.network),
                readable(flink)
            ));
        };
        areas.task_heap = rest;
        Ok(areas)
    }

    /// Adds what the JVM takes (`deriveJvmMetaspaceAndOverheadFromTotalFlinkMemory`).
    fn with_jvm(&self, areas: MemoryAreas) -> Result<MemoryAreas, String> {
        let metaspace = self.metaspace.0;
        let range = self.overhead_range()?;
        let rest = areas.flink().saturating_add(metaspace);
        let Some(process) = self.process_size else {
            return Ok(MemoryAreas {
                metaspace,
                overhead: range.beside(rest),
                ..areas
            });
        };
        let overhead = process.0.checked_sub(rest).ok_or_else(|| {
            // Flink says only that the bytes of a size must be >= 0.
            format!(
                "Total Flink Memory ({}) and JVM Metaspace ({}) exceed configured Total Process Memory \
                 ({}).",
                readable(areas.flink()),
                readable(metaspace),
                readable(process.0)
            )
        })?;
        if !range.has(overhead) {
            return Err(format!(
                "Derived JVM Overhead size ({}) is not in configured JVM Overhead range [{}, {}].",
                readable(overhead),
                readable(range.min),
                readable(range.max)
            ));
        }
        Ok(MemoryAreas {
            metaspace,
            overhead,
            ..areas
        })
    }
}

impl JobSpec {
    /// How a subtask of a sort uses its memory: in equal parts with the other sorts of its slot, and half
    /// of the slot's share if state in RocksDB has the other (`managed.consumer-weights`). Of TaskManagers
    /// with unlike slots the one with most counts.
    ///
    /// # Errors
    ///
    /// If that is too little.
    pub fn sort_plan(&self, operator: u32) -> Result<SortPlan, String> {
        let config = &self.config;
        let memory = match config.memory().ok().flatten() {
            None => config.sort_memory.0,
            Some(areas) => {
                let slots = self
                    .task_managers
                    .iter()
                    .map(|it| u64::from(it.slots))
                    .max();
                let group = self.operators.get(operator as usize);
                let group = group.map(|it| &it.slot_sharing_group);
                let beside = || {
                    let all = self.operators.iter();
                    all.filter(|it| Some(&it.slot_sharing_group) == group)
                };
                let is_sort = |it: &&OperatorSpec| matches!(it.kind, OperatorKind::Sort(_));
                let sorts = beside().filter(is_sort).count() as u64;
                let rocksdb = config.backend == StateBackend::RocksDb && config.rocksdb_managed;
                let state = rocksdb && beside().any(|it| keeps_keyed_state(&it.kind));
                let parts = sorts.max(1) * if state { 2 } else { 1 };
                areas.managed / slots.unwrap_or(1).max(1) / parts
            }
        };
        let page = u64::from(config.segment_size.0);
        SortPlan::new(memory, page, config.max_fan, config.sort_threshold)
    }
}

/// Whether an operator has keyed state, which a state backend keeps.
fn keeps_keyed_state(kind: &OperatorKind) -> bool {
    matches!(
        kind,
        OperatorKind::Window(_) | OperatorKind::Process(_) | OperatorKind::Join(_)
    )
}

impl Job {
    /// How large the write buffer of one RocksDB may become before the manager of its slot's write
    /// buffers has it flushed: managed memory in equal shares for slots, a third of a share's double
    /// ratio for write buffers, of which seven eighths may be in use (`WriteBufferManager`), in equal
    /// parts for the operators with state whose subtasks share the slot.
    #[must_use]
    pub fn write_buffer_limit(&self, task: TaskId, placement: &[Vec<u32>]) -> u64 {
        let config = &self.spec.config;
        let areas = config.memory().ok().flatten();
        let Some(areas) = areas.filter(|_| config.rocksdb_managed) else {
            return u64::MAX;
        };
        let seat = placement.get(usize::from(task.vertex));
        let seat = seat.and_then(|it| it.get(usize::from(task.subtask)));
        let at = self.task_managers.iter().position(|it| Some(&it.0) == seat);
        let slots = at.and_then(|at| self.spec.task_managers.get(at));
        let slots = slots.map_or(1, |it| u64::from(it.slots.max(1)));
        let vertices = || self.graph.vertices.iter();
        let group = vertices()
            .nth(usize::from(task.vertex))
            .map(|it| it.slot_group);
        let beside = vertices().filter(|it| Some(it.slot_group) == group);
        let keyed = beside.flat_map(|it| &it.operators).filter(|it| {
            let spec = self.spec.operators.get(**it as usize);
            spec.is_some_and(|it| keeps_keyed_state(&it.kind))
        });
        let keyed = (keyed.count() as u64).max(1);
        let share = areas.managed / slots;
        let buffers = share.saturating_mul(u64::from(config.rocksdb_write_buffer_ratio.0) * 2);
        (buffers / 3_000_000 / 8 * 7 / keyed).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn config(set: &[(&str, &str)]) -> JobConfig {
        let mut config = JobConfig::default();
        for (key, value) in set {
            let key = format!("taskmanager.memory.{key}");
            config.set(&key, value).expect("a sound setting");
        }
        config
    }

    fn areas(set: &[(&str, &str)]) -> MemoryAreas {
        let found = config(set).memory().expect("no contradiction");
        found.expect("a size was given")
    }

    #[test]
    fn nothing_is_derived_unless_a_size_is_given() {
        assert_eq!(config(&[]).memory(), Ok(None));
        assert_eq!(config(&[("managed.size", "1 gb")]).memory(), Ok(None));
        assert_eq!(config(&[("task.heap.size", "1 gb")]).memory(), Ok(None));
    }

    /// The process of 1,728 MB that Flink's `config.yaml` comes with, as its documentation and its
    /// log show it.
    #[test]
    fn the_default_process_is_divided_as_flink_logs_it() {
        let it = areas(&[("process.size", "1728m")]);
        assert_eq!(it.flink(), 1280 * MB);
        assert_eq!(it.managed, 536_870_920);
        assert_eq!(it.network, 134_217_730);
        assert_eq!(it.task_heap, 402_653_174);
        let fixed = (it.framework_heap, it.framework_off_heap, it.task_off_heap);
        assert_eq!(fixed, (128 * MB, 128 * MB, 0));
        assert_eq!((it.metaspace, it.overhead), (256 * MB, 192 * MB));
        assert_eq!(it.process(), 1728 * MB);
        assert_eq!(readable(it.managed), "512.000mb (536870920 bytes)");
        assert_eq!(readable(it.process()), "1.688gb (1811939328 bytes)");
    }

    #[test]
    fn each_way_of_giving_sizes_adds_up() {
        let it = areas(&[("flink.size", "1280m")]);
        // A tenth beside nine, 170.7 MB, is less than the least.
        assert_eq!((it.managed, it.overhead), (536_870_920, 192 * MB));
        let it = areas(&[("flink.size", "4g"), ("jvm-overhead.fraction", "0.2")]);
        // A quarter of 4,352 MB, or 0.2 of all, is more than the most.
        assert_eq!(it.overhead, 1024 * MB);
        let it = areas(&[("flink.size", "1280m"), ("process.size", "1800m")]);
        assert_eq!(it.overhead, 264 * MB);
        let it = areas(&[("task.heap.size", "512m"), ("managed.size", "256m")]);
        // 1,024 MB besides: a tenth of all is a ninth of that.
        assert_eq!((it.flink() - it.network, it.network / MB), (1024 * MB, 113));
        let it = areas(&[("flink.size", "1g"), ("task.heap.size", "256m")]);
        let rest = 1024 * MB - 512 * MB - it.managed;
        assert_eq!(it.network, rest);
        let it = areas(&[("process.size", "1g"), ("managed.size", "0")]);
        assert_eq!((it.managed, it.flink()), (0, 576 * MB));
    }

    #[test]
    fn contradictions_are_told_in_flinks_words() {
        let check = |set: &[(&str, &str)], begins: &str| {
            let said = config(set).memory().expect_err("a contradiction");
            assert!(said.contains(begins), "{said}");
        };
        check(
            &[("process.size", "400m")],
            "Sum of configured JVM Metaspace (256.000mb (268435456 bytes)) and JVM Overhead \
             (192.000mb (201326592 bytes)) exceed configured Total Process Memory (400.000mb",
        );
        check(
            &[("process.size", "800m")],
            "Managed Memory (140.800mb (147639503 bytes)) and Network Memory (64.000mb (67108864 \
             bytes)) exceed configured Total Flink Memory (352.000mb",
        );
        let heap = [("flink.size", "1g"), ("task.heap.size", "1g")];
        check(&heap, "Task Heap Memory (1024.000mb (1073741824 bytes))");
        check(
            &[("flink.size", "1g"), ("process.size", "3g")],
            "is not in configured JVM Overhead range [192.000mb (201326592 bytes), 1024.000mb",
        );
        let tight = [("flink.size", "1g"), ("process.size", "1g")];
        check(&tight, "exceed configured Total Process Memory");
        let none_left = [
            ("flink.size", "1g"),
            ("task.heap.size", "300m"),
            ("managed.size", "460m"),
        ];
        check(
            &none_left,
            "Derived Network Memory size (8.000mb (8388608 bytes)) is not in configured Network \
             Memory range [64.000mb (67108864 bytes), ",
        );
        let twisted = [
            ("process.size", "2g"),
            ("network.min", "128m"),
            ("network.max", "64m"),
        ];
        check(
            &twisted,
            "Inconsistently configured taskmanager.memory.network.fraction (0.1) and its min",
        );
    }
}
