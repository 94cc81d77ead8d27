//! Settings under the real keys of their systems, declared once: key, type, default and meaning.
//!
//! The scenario language, the inspector, the schema and the nodes all read the same declaration, so
//! a key that a file may set is a key that the engine obeys.

use serde::Serialize;

/// A value that a setting can hold.
pub trait SettingValue: Sized {
    /// What a file may write, for error messages.
    const EXPECTED: &'static str;
    /// Reads the value.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the text.
    fn parse(text: &str) -> Result<Self, String>;
    /// Writes the value as Kafka would.
    fn show(&self) -> String;
}

macro_rules! integer_setting {
    ($($ty:ty),+) => {$(
        impl SettingValue for $ty {
            const EXPECTED: &'static str = "a whole number";
            fn parse(text: &str) -> Result<Self, String> {
                text.trim().replace('_', "").parse().map_err(|_| format!("`{text}` is not {}", Self::EXPECTED))
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )+};
}
integer_setting!(i64, u32, u64, i32);

/// A share between 0 and 1, in millionths.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Ratio(pub u32);

/// A decimal number with at most six places, in millionths.
fn millionths(text: &str) -> Option<u64> {
    const DIGITS: usize = 6;
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |it: &str| it.bytes().all(|b| b.is_ascii_digit());
    let fits = !whole.is_empty() && digits(whole) && digits(part) && part.len() <= DIGITS;
    let number = format!("{whole}{part:0<DIGITS$}").parse().ok();
    number.filter(|_| fits)
}

fn show_millionths(number: u64) -> String {
    let text = format!("{}.{:06}", number / 1_000_000, number % 1_000_000);
    let short = text.trim_end_matches('0');
    match short.ends_with('.') {
        true => format!("{short}0"),
        false => short.to_owned(),
    }
}

impl SettingValue for Ratio {
    const EXPECTED: &'static str = "a number from 0 to 1";
    fn parse(text: &str) -> Result<Self, String> {
        let found = millionths(text).filter(|it| *it <= 1_000_000);
        found
            .and_then(|it| u32::try_from(it).ok())
            .map(Ratio)
            .ok_or_else(|| format!("`{text}` is not {}", Self::EXPECTED))
    }
    fn show(&self) -> String {
        show_millionths(self.0.into())
    }
}

/// A factor above 1, in millionths.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Factor(pub u32);

impl SettingValue for Factor {
    const EXPECTED: &'static str = "a number above 1";
    fn parse(text: &str) -> Result<Self, String> {
        let found = millionths(text).filter(|it| *it > 1_000_000);
        found
            .and_then(|it| u32::try_from(it).ok())
            .map(Factor)
            .ok_or_else(|| format!("`{text}` is not {}", Self::EXPECTED))
    }
    fn show(&self) -> String {
        show_millionths(self.0.into())
    }
}

/// A number from 0 on, in millionths.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Amount(pub u64);

impl SettingValue for Amount {
    const EXPECTED: &'static str = "a number, 0 or more";
    fn parse(text: &str) -> Result<Self, String> {
        millionths(text)
            .map(Amount)
            .ok_or_else(|| format!("`{text}` is not {}", Self::EXPECTED))
    }
    fn show(&self) -> String {
        show_millionths(self.0)
    }
}

impl SettingValue for bool {
    const EXPECTED: &'static str = "true or false";
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("`{text}` is not true or false")),
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

/// An enum setting with fixed words.
#[macro_export]
#[doc(hidden)]
macro_rules! word_setting {
    ($ty:ty, $expected:literal, $($word:literal => $variant:path),+ $(,)?) => {
        impl $crate::settings::SettingValue for $ty {
            const EXPECTED: &'static str = $expected;
            fn parse(text: &str) -> Result<Self, String> {
                match text.trim() {
                    $($word => Ok($variant),)+
                    _ => Err(format!("`{text}` is not one of {}", Self::EXPECTED)),
                }
            }
            #[allow(unreachable_patterns)] // several words may mean one value (acks = all, -1)
            fn show(&self) -> String {
                match self { $($variant => $word.to_owned(),)+ }
            }
        }
    };
}

/// What a key means, for the schema, completion and errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct KeySpec {
    /// The real key.
    pub key: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// What may be written.
    pub expected: &'static str,
}

/// Why a setting was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SettingError {
    /// No such key here.
    UnknownKey,
    /// The value does not fit; the sentence says why.
    BadValue(String),
}

/// Declares a struct of settings.
#[macro_export]
#[doc(hidden)]
macro_rules! settings {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$own:meta])* $key:literal => $field:ident: $ty:ty = $default:expr, $doc:literal;)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
        pub struct $name {
            $($(#[$own])* #[doc = $doc] #[doc = concat!(" (`", $key, "`)")] pub $field: $ty,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $name {
            /// All keys.
            pub const KEYS: &'static [$crate::settings::KeySpec] = &[
                $($crate::settings::KeySpec {
                    key: $key,
                    doc: $doc,
                    expected: <$ty as $crate::settings::SettingValue>::EXPECTED,
                },)+
            ];

            /// Sets one key from text.
            ///
            /// # Errors
            /// If the key is unknown or the value does not fit.
            pub fn set(&mut self, key: &str, text: &str)
                -> Result<(), $crate::settings::SettingError>
            {
                use $crate::settings::{SettingError, SettingValue};
                match key {
                    $($key => {
                        self.$field = <$ty as SettingValue>::parse(text)
                            .map_err(SettingError::BadValue)?;
                        Ok(())
                    })+
                    _ => Err(SettingError::UnknownKey),
                }
            }

            /// Every key with its present value, as Kafka would write it.
            #[must_use]
            pub fn entries(&self) -> Vec<(&'static str, String)> {
                use $crate::settings::SettingValue;
                vec![$(($key, self.$field.show()),)+]
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_a_decimal_from_0_to_1() {
        let check = |text: &str, expect: Option<(u32, &str)>| {
            let got = Ratio::parse(text).ok().map(|it| (it.0, it.show()));
            let expect = expect.map(|(ppm, shown)| (ppm, shown.to_owned()));
            assert_eq!(got, expect, "{text}");
        };
        check("0.5", Some((500_000, "0.5")));
        check("1", Some((1_000_000, "1.0")));
        check("0", Some((0, "0.0")));
        check("0.000001", Some((1, "0.000001")));
        for bad in ["", ".5", "1.1", "-0.1", "0.0000001", "half"] {
            check(bad, None);
        }
    }

    #[test]
    fn a_factor_is_a_decimal_above_1() {
        let check = |text: &str, expect: Option<(u32, &str)>| {
            let got = Factor::parse(text).ok().map(|it| (it.0, it.show()));
            let expect = expect.map(|(ppm, shown)| (ppm, shown.to_owned()));
            assert_eq!(got, expect, "{text}");
        };
        check("1.5", Some((1_500_000, "1.5")));
        check("10", Some((10_000_000, "10.0")));
        for bad in ["1", "0.5", "-2", "4295", "twice"] {
            check(bad, None);
        }
    }

    #[test]
    fn an_amount_is_any_decimal_that_is_not_negative() {
        let check = |text: &str, expect: Option<(u64, &str)>| {
            let got = Amount::parse(text).ok().map(|it| (it.0, it.show()));
            let expect = expect.map(|(ppm, shown)| (ppm, shown.to_owned()));
            assert_eq!(got, expect, "{text}");
        };
        check("0", Some((0, "0.0")));
        check("0.5", Some((500_000, "0.5")));
        check("100000", Some((100_000_000_000, "100000.0")));
        for bad in ["", "-1", "0.0000001", "18446744073710", "much"] {
            check(bad, None);
        }
    }
}
