//! Tables of real Kafka keys (`[kafka.config]` and those of topics and clients): the keys are those
//! of [`crate::kafka::config`], their bounds in [`crate::kafka::bounds`].

use crate::kafka::bounds;
use crate::kafka::config::{
    BrokerConfig, ConsumerConfig, ProducerConfig, QuotaConfig, TopicConfig,
};
use crate::settings::{KeySpec, SettingError};

pub(super) use crate::scenario::{Config, Settings, put_setting as put};

macro_rules! settings_tables {
    ($($ty:ident),+) => {$(
        impl Settings for $ty {
            const NAME: &'static str = stringify!($ty);
            const SYSTEM: &'static str = "Kafka";
            const KEYS: &'static [KeySpec] = $ty::KEYS;
            fn put(&mut self, key: &str, text: &str) -> Result<(), SettingError> {
                self.set(key, text)
            }
            fn out_of_bounds(key: &str, text: &str) -> Option<(String, String)> {
                let number = text.replace('_', "").parse().ok()?;
                bounds::out_of_bounds(key, number)
            }
        }
    )+};
}
settings_tables!(
    BrokerConfig,
    TopicConfig,
    ProducerConfig,
    ConsumerConfig,
    QuotaConfig
);
