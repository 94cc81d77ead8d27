//! Applications that read one topic and write to another, as the document has them.

use super::document::RawProcessor;
use super::groups;
use super::read::{consumer_config, place, producer_config, topic_of, value};
use crate::kafka::spec::{ClusterSpec, ConsumerSpec, LoadSpec, ProcessorSpec, ProducerSpec};
use crate::scenario::{At, Problem, Reader};
use std::ops::Range;

/// One application, and the place of its name.
pub(super) fn read(
    raw: &At<RawProcessor>,
    spec: &ClusterSpec,
    reader: &mut Reader<'_>,
) -> (ProcessorSpec, Range<usize>) {
    let doc = &raw.value;
    for topic in [&doc.from, &doc.to] {
        topic_of(topic.as_ref(), spec, reader);
    }
    let reads = consumer_config(doc.consumer.as_ref(), &raw.span, reader);
    groups::check_application(&reads, true, reader);
    let writes = producer_config(doc.producer.as_ref(), &raw.span, reader);
    let name = value(doc.name.as_ref()).unwrap_or_default();
    let (from, to) = (value(doc.from.as_ref()), value(doc.to.as_ref()));
    let mut refuse = |message: String| {
        let span = place(doc.consumer.as_ref(), &raw.span);
        reader.report(&span, Problem::new("contradiction", message));
    };
    if reads.value.group_id.is_empty() {
        refuse("a processor reads as a member of a group: give it a `group.id`".to_owned());
    }
    let members = spec.consumers.iter();
    let mut members = members.chain(spec.processors.iter().map(|it| &it.consumer));
    let own = &reads.value;
    if let Some(other) = members.find(|it| {
        let differs = it.topic != from.as_deref().unwrap_or_default()
            || it.config.group_protocol != own.group_protocol;
        it.config.group_id == own.group_id && differs
    }) {
        refuse(format!(
            "`{}` reads another topic in the group `{}`, or by another group.protocol; here all \
             members do the same",
            other.name, own.group_id
        ));
    }
    let read = ProcessorSpec {
        consumer: ConsumerSpec {
            name: name.clone(),
            topic: from.unwrap_or_default(),
            partitions: Vec::new(),
            config: reads.value,
            start: doc.start.as_ref().map_or(0, |at| at.value.0),
        },
        producer: ProducerSpec {
            name,
            topic: to.unwrap_or_default(),
            config: writes.value,
            load: LoadSpec::default(),
        },
    };
    (read, place(doc.name.as_ref(), &raw.span))
}
