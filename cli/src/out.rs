//! Standard output. A reader that has enough (`| head`) closes the pipe: that is no reason to fail,
//! and the exit status still says what the command found.

use std::fmt::Arguments;
use std::io::Write;

/// Prints text as it is.
pub(crate) fn print(text: Arguments<'_>) {
    let _ = std::io::stdout().lock().write_fmt(text);
}

/// Prints text as it is.
pub(crate) fn bytes(text: &[u8]) {
    let _ = std::io::stdout().lock().write_all(text);
}

/// Prints a line, as `println!` does, whether or not anybody reads it.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {
        $crate::out::print(format_args!("{}\n", format_args!($($text)*)))
    };
}
