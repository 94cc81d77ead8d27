//! Applications that read one topic and write to another, as the document has them.

use super::consumers::{Groups, Member, starts};
use super::document::RawProcessor;
use super::read::{place, producer_config, topic_of, value};
use crate::kafka::spec::{ClusterSpec, ConsumerSpec, LoadSpec, ProcessorSpec, ProducerSpec};
use crate::scenario::{At, Problem, Reader};
use std::ops::Range;

/// One application, and the place of its name.
pub(super) fn read(
    raw: &At<RawProcessor>,
    known: &Groups<'_>,
    spec: &ClusterSpec,
    reader: &mut Reader<'_>,
) -> (ProcessorSpec, Range<usize>, Member) {
    let doc = &raw.value;
    for topic in [&doc.from, &doc.to] {
        topic_of(topic.as_ref(), spec, reader);
    }
    let reads = known.config(None, doc.consumer.as_ref(), (&raw.span, true), reader);
    let writes = producer_config(doc.producer.as_ref(), &raw.span, spec, reader);
    let name = value(doc.name.as_ref()).unwrap_or_default();
    let (from, to) = (value(doc.from.as_ref()), value(doc.to.as_ref()));
    let span = place(doc.consumer.as_ref(), &raw.span);
    if reads.value.group_id.is_empty() {
        let message = "a processor reads as a member of a group: give it a `group.id`";
        reader.report(&span, Problem::new("contradiction", message));
    }
    let read = ProcessorSpec {
        consumer: ConsumerSpec {
            name: name.clone(),
            topic: from.unwrap_or_default(),
            also: Vec::new(),
            partitions: Vec::new(),
            config: reads.value.clone(),
            start: doc.start.as_ref().map_or(0, |at| at.value.0),
        },
        producer: ProducerSpec {
            name,
            topic: to.unwrap_or_default(),
            config: writes.value,
            load: LoadSpec::default(),
        },
    };
    let member = Member {
        starts: starts(&reads, true),
        config: reads,
        span,
    };
    (read, place(doc.name.as_ref(), &raw.span), member)
}
