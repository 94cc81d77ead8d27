//! Rows with their positions: one write after the other, and what comes twice or late is dropped.

use super::*;

const WITH_OFFSET: Guarantee = Guarantee::WithOffset;

/// What the store says of where the source begins.
fn begins(rig: &mut Rig) -> Vec<(u16, u64)> {
    let packet = Packet::ToStore {
        attempt: rig.attempt,
        task: TaskId {
            vertex: 0,
            subtask: 0,
        },
        operator: 0,
        request: crate::stream::protocol::POSITIONS_REQUEST,
        order: StoreRequest::Positions { source: 0 },
    };
    let from = NodeId(5);
    let input = Input::Message { from, msg: packet };
    rig.store.on(input, &mut rig.cx);
    let mut said = rig
        .cx
        .sent
        .drain(..)
        .filter_map(|(_, _, packet)| match packet {
            Packet::FromStore {
                answer: StoreAnswer::Positions(splits),
                ..
            } => Some(splits),
            _ => None,
        });
    said.next().expect("an answer")
}

/// After a crash at any moment the rows that come again from where the store says are there once.
#[test]
fn nothing_is_lost_and_nothing_there_twice_wherever_it_crashes() {
    for (served, heard) in [(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (3, 2), (3, 3)] {
        let mut rig = Rig::new(WITH_OFFSET, 2);
        rig.start(1, None);
        for value in 0..=5 {
            rig.with(0, |it, out| it.on_record(record(value), out));
        }
        for step in 0..3 {
            for _ in 0..usize::from(step < served) {
                rig.serve();
            }
            for _ in 0..usize::from(step < heard) {
                rig.hear();
            }
        }
        rig.crash();
        let from = begins(&mut rig).first().map_or(0, |it| it.1);
        rig.start(1, None);
        rig.write(i64::try_from(from).expect("small")..=8);
        rig.flush();
        assert_eq!(
            rig.visible(),
            (0..=8).collect::<Vec<_>>(),
            "{served} {heard}"
        );
        assert_eq!(rig.store.dropped(), 0);
        assert_eq!(begins(&mut rig), [(0, 9)]);
    }
}

/// A write of a lost attempt that comes late has nothing new, or only what comes next.
#[test]
fn a_late_write_of_a_lost_attempt_leaves_no_gap() {
    let mut rig = Rig::new(WITH_OFFSET, 4);
    rig.start(1, None);
    for value in 0..=6 {
        rig.with(0, |it, out| it.on_record(record(value), out));
    }
    // One write is on its way, and no other behind it.
    assert_eq!(rig.requests.len(), 1);
    let late = rig.requests.pop_front().expect("a write");
    rig.crash();
    rig.start(1, None);
    rig.write(0..=1);
    rig.flush();
    rig.requests.push_back(late);
    rig.serve();
    assert_eq!((rig.visible(), rig.store.dropped()), (vec![0, 1, 2, 3], 2));
    rig.write(2..=6);
    rig.flush();
    assert_eq!(rig.visible(), (0..=6).collect::<Vec<_>>());
    assert_eq!(rig.store.dropped(), 4);
}

/// Rows that wait for the write before them are sent when that is answered, asked for or not.
#[test]
fn a_flush_sends_what_waits_behind_a_write() {
    let mut rig = Rig::new(WITH_OFFSET, 2);
    rig.start(1, None);
    for value in 0..=2 {
        rig.with(0, |it, out| it.on_record(record(value), out));
    }
    rig.with(0, SinkWriter::flush);
    assert!(!rig.writers[0].is_flushed());
    rig.settle();
    assert!(rig.writers[0].is_flushed() && rig.writers[0].is_done());
    assert_eq!(rig.visible(), [0, 1, 2]);
}
