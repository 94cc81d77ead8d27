//! Memory of TaskManagers: network buffers that are too few, a heap that is full, a container that is
//! killed, and what helps against each.

mod support;

use support::{holds, reached, told};

const BUFFERS: &str = include_str!("../../scenarios/job-network-buffers.toml");
const HEAP: &str = include_str!("../../scenarios/job-heap-space.toml");
const CONTAINER: &str = include_str!("../../scenarios/job-container-killed.toml");

/// A story up to its first expectation, with other ones.
fn retold(name: &str, text: &str, change: &[(&str, &str)], expect: &[&str]) {
    let end = text.find("[[expect]]").expect("expectations");
    told(name, &text[..end], change, expect);
}

#[test]
fn too_few_buffers_fail_a_job_before_its_first_record() {
    let report = holds("buffers", BUFFERS);
    assert_eq!(reached(&report, "restart"), 2);
}

#[test]
fn more_network_memory_lets_the_same_parallelism_run() {
    let end = BUFFERS.find("[[timeline]]").expect("a timeline");
    let enough = [("\"32 mb\"", "\"64 mb\"")];
    let expect = [
        "per-customer.running == 64 and tm1.segments-unreserved == 952 @ 15s",
        "tm1.segments-used >= 528 and tm1.segments-used < 1096 @ 15s",
        "job.status == FINISHED and job.restarts == 0 and out-store.visible == 4000",
    ];
    told("enough", &BUFFERS[..end], &enough, &expect);
}

/// On one machine there are no channels from others: only partitions and gates need buffers.
#[test]
fn channels_within_a_task_manager_have_no_buffers_of_their_own() {
    let end = BUFFERS.find("[[timeline]]").expect("a timeline");
    let one = [("task-managers = 2\nslots = 32", "slots = 64")];
    // 8 times 65 and 64 times 9 of partitions, 64 and 8 of gates.
    let fails = ["job.failure == NETWORK_BUFFERS"];
    told("one", &BUFFERS[..end], &one, &fails);
    let enough = [one[0], ("\"32 mb\"", "\"40 mb\"")];
    let runs = ["tm1.segments-unreserved == 112 @ 15s", "job.restarts == 0"];
    told("one, enough", &BUFFERS[..end], &enough, &runs);
}

#[test]
fn state_beyond_the_heap_is_an_error_of_the_heap() {
    let report = holds("heap", HEAP);
    assert_eq!(reached(&report, "container-killed"), 0);
}

#[test]
fn a_larger_heap_carries_the_same_state() {
    let change = [(
        "[stream.config]",
        "[stream.config]\n\"taskmanager.memory.managed.size\" = 0",
    )];
    let expect = [
        "tm1.managed-memory == 0 and tm1.task-heap == 268_435_456",
        "job.restarts == 0 and tm1.heap-used > 70_000_000",
    ];
    retold("no managed memory", HEAP, &change, &expect);
}

#[test]
fn an_error_of_the_heap_may_end_the_process() {
    let change = [(
        "[stream.config]",
        "[stream.config]\n\"taskmanager.jvm-exit-on-oom\" = true",
    )];
    let expect = [
        "tm1.heap-errors == 1 and job.failure == TASK_MANAGER_LOST",
        "job.task-managers == 0",
    ];
    retold("exit", HEAP, &change, &expect);
}

/// Rocksdb keeps no state on the heap.
#[test]
fn the_heap_is_no_matter_to_rocksdb() {
    let change = [("\"hashmap\"", "\"rocksdb\"")];
    let expect = ["tm1.heap-used == 0 and job.restarts == 0 and tm1.rocksdb-memory > 50_000_000"];
    retold("rocksdb", HEAP, &change, &expect);
}

#[test]
fn what_nobody_adds_up_gets_the_container_killed() {
    let report = holds("container", CONTAINER);
    assert_eq!(reached(&report, "container-killed"), 4);
    assert_eq!(reached(&report, "heap-exhausted"), 0);
}

#[test]
fn managed_memory_bounds_rocksdb() {
    let managed = [(
        "\"state.backend.rocksdb.memory.managed\" = false",
        "\"state.backend.rocksdb.memory.managed\" = true",
    )];
    let end = CONTAINER.find("[[timeline]]").expect("a timeline");
    let expect = [
        "tm1.rocksdb-memory <= tm1.managed-memory @ 40s",
        "tm1.container-kills == 0 and job.restarts == 0 and tm1.rocksdb-memory > 200_000_000",
    ];
    let report = told("managed", &CONTAINER[..end], &managed, &expect);
    assert_eq!(reached(&report, "container-killed"), 0);
}

/// Without a size nothing is limited, and gauges say nothing.
#[test]
fn without_a_size_memory_is_no_matter() {
    let change = [("\"taskmanager.memory.process.size\" = \"1 gb\"\n", "")];
    let expect = ["job.restarts == 0 and not (tm1.task-heap >= 0)"];
    retold("no size", HEAP, &change, &expect);
}
